//! What arrives on terminals and pipes, from one source and from several.

use proptest::prelude::*;

use super::*;

const PIPE: TailOptions = TailOptions { terminal: false, colour: false };
const TERMINAL: TailOptions = TailOptions { terminal: true, colour: false };

fn written(labels: &[&str], options: TailOptions, pieces: &[(usize, &[u8])]) -> Vec<u8> {
    let (mut writer, mut out) = (TailWriter::new(labels, options), Vec::new());
    for (source, bytes) in pieces {
        writer.write(*source, bytes, &mut out).unwrap();
    }
    writer.finish(&mut out).unwrap();
    out
}

#[track_caller]
fn check(labels: &[&str], options: TailOptions, pieces: &[(usize, &str)], expected: &str) {
    let pieces: Vec<_> = pieces.iter().map(|(source, text)| (*source, text.as_bytes())).collect();
    assert_eq!(String::from_utf8(written(labels, options, &pieces)).unwrap(), expected);
}

#[test]
fn a_single_source_goes_into_a_pipe_byte_for_byte() {
    let bytes: Vec<u8> = (0..=255).collect();
    assert_eq!(written(&["A"], PIPE, &[(0, &bytes), (0, b"\x1b]0;x")]), [&bytes[..], b"\x1b]0;x"].concat());
}

#[test]
fn a_single_source_is_filtered_for_a_terminal() {
    check(&["A"], TERMINAL, &[(0, "a\x1b]0;x"), (0, "\x07b\r\nc")], "ab\nc");
}

#[test]
fn lines_of_several_sources_are_labelled_and_whole() {
    let pieces = [(0, "one "), (1, "x\ny"), (0, "line\n"), (1, "z\n"), (0, "rest")];
    let expected = "long | x\nA    | one line\nlong | yz\nA    | rest\n";
    check(&["A", "long"], PIPE, &pieces, expected);
    check(&["A", "long"], TERMINAL, &pieces, expected);
}

#[test]
fn the_label_is_coloured_and_the_text_is_not() {
    let colour = TailOptions { terminal: false, colour: true };
    let pieces = [(0, "a\n"), (1, "b\n")];
    check(&["A", "BB"], colour, &pieces, "\x1b[36mA\x1b[39m  | a\n\x1b[33mBB\x1b[39m | b\n");
}

#[test]
fn a_label_cannot_harm_the_terminal() {
    check(&["A\x1b[2J", "B"], PIPE, &[(0, "a\n")], "A\\x1b[2J | a\n");
}

#[test]
fn a_line_too_long_to_be_held_goes_into_a_pipe_in_parts() {
    let long = "x".repeat(LONGEST_HELD);
    let two = format!("{long}{long}y\n");
    let pieces = [(0, two.as_str()), (1, "b\n"), (0, long.as_str()), (0, "\n")];
    check(&["A", "B"], PIPE, &pieces, &format!("A | {long} …\nA | {long} …\nA | y\nB | b\nA | {long} …\nA | \n"));
}

#[test]
fn a_new_file_begins_on_a_new_line() {
    for (labels, options, expected) in [
        (&["A"][..], PIPE, "oldnew\n"),
        (&["A"], TERMINAL, "old\nnew\n"),
        (&["A", "B"], PIPE, "A | old\nA | new\n"),
        (&["A", "B"], TERMINAL, "A | old\nA | new\n"),
    ] {
        let (mut writer, mut out) = (TailWriter::new(labels, options), Vec::new());
        writer.end_line(0, &mut out).unwrap();
        writer.write(0, b"old", &mut out).unwrap();
        writer.end_line(0, &mut out).unwrap();
        writer.write(0, b"new\n", &mut out).unwrap();
        writer.finish(&mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

proptest! {
    #[test]
    fn no_source_tears_the_line_of_another(
        pieces in prop::collection::vec((0_usize..3, "[a-z\n]{0,8}"), 0..30), terminal in any::<bool>(),
    ) {
        let options = TailOptions { terminal, colour: false };
        let cut: Vec<_> = pieces.iter().map(|(source, text)| (*source, text.as_bytes())).collect();
        let out = String::from_utf8(written(&["0", "1", "2"], options, &cut)).unwrap();
        for source in 0..3 {
            let fed: String = pieces.iter().filter(|piece| piece.0 == source).map(|piece| piece.1.as_str()).collect();
            let label = format!("{source} | ");
            let seen: Vec<&str> = out.lines().filter_map(|line| line.strip_prefix(&label)).collect();
            prop_assert_eq!(seen, fed.lines().collect::<Vec<_>>());
        }
    }
}
