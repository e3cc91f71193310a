//! Followers against real files, real renames and writers that do not wait for them.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::process::Command;
use std::thread;

use super::*;

/// Long enough for a loaded machine; reached only when a test fails.
const LIMIT: Duration = Duration::from_secs(30);

struct Fixture {
    folder: tempfile::TempDir,
    set: FollowSet,
    bytes: Vec<Vec<u8>>,
    notices: Vec<Notice>,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, set: FollowSet::new().unwrap(), bytes: Vec::new(), notices: Vec::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn follow(&mut self, name: &str, start: Start) {
        let number = self.set.add(&self.path(name), start).unwrap();
        assert_eq!(number, self.bytes.len());
        self.bytes.push(Vec::new());
    }

    fn append(&self, name: &str, text: &str) {
        let mut file = OpenOptions::new().append(true).create(true).open(self.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// What a start does with the former output.
    fn restart(&self, name: &str, archive: &str, text: &str) {
        fs::rename(self.path(name), self.path(archive)).unwrap();
        File::create_new(self.path(name)).unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn read_all(&mut self) {
        let mut buffer = vec![0; 1000];
        while let Some((number, piece)) = self.set.read(&mut buffer).unwrap() {
            match piece {
                Piece::Bytes(bytes) => self.bytes[number].extend_from_slice(bytes),
                Piece::Notice(notice) => self.notices.push(notice),
            }
        }
    }

    #[track_caller]
    fn read_until(&mut self, done: impl Fn(&Self) -> bool) {
        self.read_all();
        let mut silent = 0;
        while !done(self) {
            // Others' events wake without anything to read; a thousand of those are a failure as well.
            silent = if self.set.wait(LIMIT).unwrap() { 0 } else { silent + 1 };
            assert!(silent < 1000, "nothing more comes after {:?} {:?}", self.text(0), self.notices);
            self.read_all();
        }
    }

    fn text(&self, number: usize) -> String {
        String::from_utf8(self.bytes[number].clone()).unwrap()
    }

    #[track_caller]
    fn expect(&mut self, text: &str) {
        self.read_until(|fixture| fixture.bytes[0].len() >= text.len());
        assert_eq!(self.text(0), text);
    }

    #[track_caller]
    fn expect_notice(&mut self, notice: Notice) {
        self.read_until(|fixture| fixture.notices.contains(&notice));
    }
}

#[test]
fn it_begins_where_it_is_told() {
    for (start, expected) in [
        (Start::Beginning, "one\ntwo\nthree\n"),
        (Start::LastLines(2), "two\nthree\n"),
        (Start::LastLines(0), ""),
        (Start::At(4), "two\nthree\n"),
    ] {
        let mut fixture = Fixture::new();
        fixture.append("A.txt", "one\ntwo\nthree\n");
        fixture.follow("A.txt", start);
        fixture.read_all();
        assert_eq!(fixture.text(0), expected);
        fixture.append("A.txt", "four\n");
        fixture.expect(&format!("{expected}four\n"));
    }
}

#[test]
fn files_that_left_the_name_before_the_start_are_not_read() {
    let mut fixture = Fixture::new();
    // Watches the folder, so that the queue holds events from before B is followed.
    fixture.follow("A.txt", Start::Beginning);
    fixture.append("B.txt", "older\n");
    fixture.restart("B.txt", "B_1.txt", "old\n");
    fixture.restart("B.txt", "B_2.txt", "new\n");
    fixture.follow("B.txt", Start::Beginning);
    fixture.restart("B.txt", "B_3.txt", "newer\n");
    fixture.read_until(|fixture| fixture.bytes[1].ends_with(b"newer\n"));
    assert_eq!(fixture.text(1), "new\nnewer\n");
}

#[test]
fn a_file_that_does_not_exist_is_waited_for() {
    let mut fixture = Fixture::new();
    fixture.follow("A.txt", Start::LastLines(1));
    fixture.read_all();
    assert!(!fixture.set.wait(Duration::ZERO).unwrap());
    fixture.append("A.txt", "one\ntwo\n");
    fixture.expect("one\ntwo\n");
    assert_eq!(fixture.notices, []);
}

#[test]
fn a_missing_folder_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let error = FollowSet::new().unwrap().add(&folder.path().join("no/A.txt"), Start::Beginning).unwrap_err();
    assert!(error.to_string().ends_with("/no`"), "{error}");
}

#[test]
fn a_folder_in_place_of_the_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let error = FollowSet::new().unwrap().add(folder.path(), Start::Beginning).unwrap_err();
    assert!(matches!(error, FollowError::NotAFile { .. }), "{error}");
}

#[test]
fn after_a_restart_the_old_file_is_read_to_its_end_first() {
    let mut fixture = Fixture::new();
    fixture.append("A.txt", "a\n");
    fixture.follow("A.txt", Start::Beginning);
    fixture.expect("a\n");
    fixture.append("A.txt", "b\n");
    fixture.restart("A.txt", "A_1.txt", "c\n");
    fixture.append("A_1.txt", "straggler\n");
    fixture.expect("a\nb\nstraggler\nc\n");
    assert_eq!(fixture.notices, [Notice::Restarted]);
    fixture.append("A_1.txt", "too late\n");
    fixture.append("A.txt", "d\n");
    fixture.expect("a\nb\nstraggler\nc\nd\n");
}

#[test]
fn a_renamed_file_is_followed_until_the_name_comes_back() {
    let mut fixture = Fixture::new();
    fixture.append("A.txt", "a\n");
    fixture.follow("A.txt", Start::Beginning);
    fixture.expect("a\n");
    fs::rename(fixture.path("A.txt"), fixture.path("A_1.txt")).unwrap();
    fixture.append("A_1.txt", "b\n");
    fixture.expect("a\nb\n");
    fixture.append("A.txt", "c\n");
    fixture.expect("a\nb\nc\n");
}

#[test]
fn files_that_came_and_went_between_two_wake_ups_are_read() {
    let mut fixture = Fixture::new();
    fixture.append("A.txt", "0\n");
    fixture.follow("A.txt", Start::Beginning);
    fixture.expect("0\n");
    let mut expected = String::from("0\n");
    for run in 1..=50 {
        fixture.restart("A.txt", &format!("A_{run}.txt"), &format!("{run}\n"));
        expected += &[&run.to_string(), "\n"].concat();
    }
    fixture.expect(&expected);
    assert_eq!(fixture.notices, [Notice::Restarted; 50]);
}

#[test]
fn files_that_come_and_go_between_the_events_and_the_look_are_read() {
    let mut fixture = Fixture::new();
    fixture.append("A.txt", "0\n");
    fixture.follow("A.txt", Start::Beginning);
    fixture.restart("A.txt", "A_1.txt", "1\n");
    fixture.set.drain().unwrap();
    fixture.restart("A.txt", "A_2.txt", "2\n");
    fixture.restart("A.txt", "A_3.txt", "3\n");
    fixture.expect("0\n1\n2\n3\n");
}

#[test]
fn the_first_files_of_a_name_may_come_and_go_unseen() {
    let mut fixture = Fixture::new();
    fixture.follow("A.txt", Start::Beginning);
    fixture.append("A.txt", "1\n");
    fixture.restart("A.txt", "A_1.txt", "2\n");
    fixture.restart("A.txt", "A_2.txt", "3\n");
    fixture.expect("1\n2\n3\n");
}

#[test]
fn files_that_were_deleted_unread_are_reported() {
    let mut fixture = Fixture::new();
    fixture.append("A.txt", "0\n");
    fixture.follow("A.txt", Start::Beginning);
    fixture.restart("A.txt", "A_1.txt", "1\n");
    fixture.restart("A.txt", "A_2.txt", "2\n");
    fs::remove_file(fixture.path("A_2.txt")).unwrap();
    fixture.expect("0\n2\n");
    assert_eq!(fixture.notices, [Notice::Missed, Notice::Restarted]);
}

#[test]
fn more_files_than_may_wait_are_reported_and_the_newest_kept() {
    let mut fixture = Fixture::new();
    fixture.append("A.txt", "first\n");
    fixture.follow("A.txt", Start::Beginning);
    for run in 1..=400 {
        fixture.restart("A.txt", &format!("A_{run}.txt"), &format!("{run}\n"));
    }
    fixture.read_until(|fixture| fixture.text(0).ends_with("\n400\n"));
    assert_eq!(fixture.text(0).lines().count(), 256);
    assert_eq!(fixture.notices.iter().filter(|notice| **notice == Notice::Missed).count(), 401 - 256);
}

#[test]
fn each_line_of_a_quick_writer_arrives_once_across_fifty_restarts() {
    let mut fixture = Fixture::new();
    fixture.append("A.txt", "");
    fixture.follow("A.txt", Start::Beginning);
    let folder = fixture.folder.path().to_owned();
    let writer = thread::spawn(move || {
        let name = folder.join("A.txt");
        let mut line = 0;
        for run in 0..50 {
            let mut file = OpenOptions::new().append(true).open(&name).unwrap();
            for _ in 0..40 {
                writeln!(file, "{line}").unwrap();
                line += 1;
            }
            fs::rename(&name, folder.join(format!("A_{run}.txt"))).unwrap();
            // A straggler goes on while there is no new file: still a part of what is followed.
            writeln!(file, "{line}").unwrap();
            line += 1;
            File::create_new(&name).unwrap();
        }
        line
    });
    fixture.read_until(|fixture| fixture.bytes[0].ends_with(b"\n2049\n"));
    let expected: Vec<String> = (0..writer.join().unwrap()).map(|line| line.to_string()).collect();
    assert_eq!(fixture.text(0).lines().collect::<Vec<_>>(), expected);
}

#[test]
fn another_process_that_restarts_is_followed() {
    let mut fixture = Fixture::new();
    fixture.follow("A.txt", Start::Beginning);
    let script = "for run in 1 2 3 4 5 6 7 8 9; do
        for line in 1 2 3; do echo $run.$line; done > A.txt
        mv A.txt A_$run.txt
    done; echo end > A.txt";
    let mut shell = Command::new("sh").args(["-c", script]).current_dir(fixture.folder.path()).spawn().unwrap();
    fixture.read_until(|fixture| fixture.bytes[0].ends_with(b"end\n"));
    assert!(shell.wait().unwrap().success());
    let lines = (1..10).flat_map(|run| (1..4).map(move |line| format!("{run}.{line}\n")));
    assert_eq!(fixture.text(0), lines.chain(["end\n".to_owned()]).collect::<String>());
}

#[test]
fn a_truncated_file_is_read_from_its_beginning() {
    let mut fixture = Fixture::new();
    fixture.append("A.txt", "long enough\n");
    fixture.follow("A.txt", Start::Beginning);
    fixture.expect("long enough\n");
    File::create(fixture.path("A.txt")).unwrap();
    fixture.expect_notice(Notice::Truncated);
    fixture.append("A.txt", "new\n");
    fixture.expect("long enough\nnew\n");
}

#[test]
fn a_removed_file_is_told_once_and_its_successor_followed() {
    let mut fixture = Fixture::new();
    fixture.append("A.txt", "a\n");
    fixture.follow("A.txt", Start::Beginning);
    fixture.append("A.txt", "b\n");
    fs::remove_file(fixture.path("A.txt")).unwrap();
    fixture.expect_notice(Notice::Removed);
    assert_eq!(fixture.text(0), "a\nb\n");
    fixture.append("A.txt", "c\n");
    fixture.expect("a\nb\nc\n");
    assert_eq!(fixture.notices, [Notice::Removed, Notice::Restarted]);
}

#[test]
fn a_file_renamed_over_the_followed_one_is_its_successor() {
    let mut fixture = Fixture::new();
    fixture.append("A.txt", "a\n");
    fixture.follow("A.txt", Start::Beginning);
    fixture.append("A.txt", "b\n");
    fixture.append("new", "c\n");
    fs::rename(fixture.path("new"), fixture.path("A.txt")).unwrap();
    fixture.expect("a\nb\nc\n");
}

#[test]
fn a_removed_folder_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut set = FollowSet::new().unwrap();
    set.add(&folder.path().join("A.txt"), Start::Beginning).unwrap();
    assert_eq!(set.read(&mut [0; 10]).unwrap(), None);
    folder.close().unwrap();
    let error = set.wait(LIMIT).unwrap_err();
    assert!(matches!(error, FollowError::FolderGone { .. }), "{error}");
}

#[test]
fn the_files_of_others_cause_no_reading() {
    let mut fixture = Fixture::new();
    fixture.append("A.txt", "a\n");
    fixture.follow("A.txt", Start::Beginning);
    fixture.expect("a\n");
    fixture.append("B.txt", "b\n");
    fixture.restart("B.txt", "B_1.txt", "c\n");
    assert!(!fixture.set.wait(LIMIT).unwrap());
    assert!(!fixture.set.wait(Duration::ZERO).unwrap());
    fixture.append("B.txt", "writing alone does not even wake\n");
    assert_eq!(poll(&mut [PollFd::new(fixture.set.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO).unwrap(), 0);
}

#[test]
fn several_files_are_read_in_turn() {
    let mut fixture = Fixture::new();
    fixture.append("A.txt", &"a".repeat(5000));
    fixture.append("B.txt", &"b".repeat(5000));
    fixture.follow("A.txt", Start::Beginning);
    fixture.follow("B.txt", Start::Beginning);
    let mut buffer = [0; 1000];
    let order: Vec<usize> = (0..4).map(|_| fixture.set.read(&mut buffer).unwrap().unwrap().0).collect();
    assert_eq!(order, [0, 1, 0, 1]);
    fixture.read_all();
    fixture.append("B.txt", "!");
    fixture.read_until(|fixture| fixture.bytes[1].ends_with(b"!"));
}

#[test]
fn a_path_followed_twice_is_delivered_twice() {
    let mut fixture = Fixture::new();
    fixture.append("A.txt", "a\n");
    fixture.follow("A.txt", Start::Beginning);
    fixture.follow("A.txt", Start::Beginning);
    fixture.restart("A.txt", "A_1.txt", "b\n");
    fixture.append("A.txt", "c\n");
    fixture.read_until(|fixture| fixture.bytes.iter().all(|bytes| bytes == b"a\nb\nc\n"));
    fixture.append("A.txt", "d\n");
    fixture.read_until(|fixture| fixture.bytes.iter().all(|bytes| bytes.ends_with(b"d\n")));
}

#[test]
fn much_unread_output_does_not_crowd_out_the_renames() {
    let mut fixture = Fixture::new();
    fixture.follow("A.txt", Start::Beginning);
    fixture.follow("B.txt", Start::Beginning);
    fixture.append("A.txt", "");
    fixture.append("B.txt", "");
    fixture.read_until(|fixture| !fixture.set.stirs());
    // Twice the kernel's queue, alternating so that the events could not be merged.
    let mut files = ["A.txt", "B.txt"].map(|name| OpenOptions::new().append(true).open(fixture.path(name)).unwrap());
    for _ in 0..16_384 {
        for file in &mut files {
            file.write_all(b"x").unwrap();
        }
    }
    fixture.restart("A.txt", "A_1.txt", "1");
    fixture.restart("A.txt", "A_2.txt", "2");
    fixture.read_until(|fixture| fixture.bytes[0].ends_with(b"2") && fixture.bytes[1].len() == 16_384);
    assert_eq!(fixture.text(0), format!("{}12", "x".repeat(16_384)));
    assert!(!fixture.notices.contains(&Notice::Missed));
}

#[test]
fn when_the_kernel_loses_events_the_newest_file_is_found_and_the_gap_reported() {
    let mut fixture = Fixture::new();
    fixture.append("A.txt", "a\n");
    fixture.follow("A.txt", Start::Beginning);
    fixture.expect("a\n");
    let longest: usize = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
    let other = fixture.path("other");
    for _ in 0..=longest / 2 {
        File::create(&other).unwrap();
        fs::remove_file(&other).unwrap();
    }
    fixture.append("A.txt", "b\n");
    fixture.restart("A.txt", "A_1.txt", "unseen\n");
    fixture.restart("A.txt", "A_2.txt", "c\n");
    fixture.expect("a\nb\nc\n");
    assert_eq!(fixture.notices, [Notice::Missed, Notice::Restarted]);
    fixture.restart("A.txt", "A_3.txt", "d\n");
    fixture.expect("a\nb\nc\nd\n");
}
