//! What fits, who is next, and what is said of those who are not.

use jiff::Timestamp;

use super::*;
use crate::domain::name::{JobId, TaskName};
use crate::domain::restart::Thousandths;

mod properties;

pub(super) const GIB: u64 = 1 << 30;

/// A moment, in seconds.
pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

/// 8 cpus, 16 GiB, 2 GPUs; of group `few` two at a time.
fn machine() -> Capacity {
    let mut capacity = Capacity::new(&Machine::default(), Found { cpus: 8, memory: 16 * GIB, gpus: 2 });
    capacity.limit_group("Few", 2);
    capacity
}

fn need(json: &str) -> Need {
    serde_json::from_str(json).unwrap()
}

/// Runs of jobs 101, 102, …, claimed at second 0, each with what it would get if it started after those before it.
#[track_caller]
fn running(needs: &[&str]) -> Vec<Running> {
    let mut running: Vec<Running> = Vec::new();
    for (job, json) in (101..).zip(needs) {
        let need = need(json);
        let head = Head { need: &need, priority: 0, job: JobId(job), runnable_since: at(0) };
        let holds = pick(&[head], &running, &machine(), at(0)).unwrap_or_else(|| panic!("{json} does not fit")).holds;
        running.push(Running { job: JobId(job), task: None, since: at(0), holds });
    }
    running
}

/// Which of these jobs is next: job 1 has the first need, job 2 the second, … All have been runnable since second 0.
#[track_caller]
fn next(needs: &[&str], running: &[Running], second: i64) -> Option<(i64, Holds)> {
    let needs: Vec<Need> = needs.iter().map(|json| need(json)).collect();
    let heads: Vec<Head<'_>> = (1..)
        .zip(&needs)
        .map(|(job, need)| Head { need, priority: 0, job: JobId(job), runnable_since: at(0) })
        .collect();
    pick(&heads, running, &machine(), at(second)).map(|pick| (heads[pick.head].job.0, pick.holds))
}

#[track_caller]
fn job(needs: &[&str], running: &[Running], second: i64) -> Option<i64> {
    next(needs, running, second).map(|(job, _)| job)
}

#[track_caller]
fn says(json: &str, running: &[Running], expected: &str) {
    let mut capacity = machine();
    capacity.pause_group("Still");
    assert_eq!(obstacle(&need(json), running, &capacity).map(|found| found.to_string()).unwrap_or_default(), expected);
}

#[test]
fn equal_needs_have_equal_texts() {
    let resources = Resources { cpus: Some(2), gpus: Some(Thousandths(500)), ..Resources::default() };
    let one = resources.demand(["b", "a"], Some("Night")).unwrap().need;
    let same = Resources { memory: Some(0), ..resources }.demand(["a", "b", "a"], Some("night")).unwrap().need;
    let text = serde_json::to_string(&one).unwrap();
    assert_eq!(text, r#"{"cpus":2,"gpus":500,"locks":["a","b"],"group":"night"}"#);
    assert_eq!(serde_json::to_string(&same).unwrap(), text);
    assert_eq!(need(&text), one);
    let nothing = Resources::default().demand(Vec::<String>::new(), None).unwrap();
    assert_eq!(nothing, Demand::default());
    assert!(nothing.need.is_nothing() && !one.is_nothing());
    assert_eq!(serde_json::to_string(&nothing.need).unwrap(), "{}");
}

#[test]
fn what_a_run_holds_survives_its_json_form() {
    let (_, holds) =
        next(&[r#"{"cpus":3,"memory":5,"gpus":1500,"packing":4,"locks":["db"],"group":"few"}"#], &[], 0).unwrap();
    let text = serde_json::to_string(&holds).unwrap();
    let gpus = r#""gpus":{"0":1000,"1":500}"#;
    assert_eq!(text, format!(r#"{{"cpus":3,"memory":5,{gpus},"packing":4,"locks":["db"],"group":"few"}}"#));
    assert_eq!(serde_json::from_str::<Holds>(&text).unwrap(), holds);
    assert_eq!(serde_json::to_string(&Holds::default()).unwrap(), "{}");
    assert!(Holds::default().is_nothing() && !Holds::only_locks(["a"]).is_nothing());
}

#[test]
fn threads_and_ranks_are_counted_as_balsam_does() {
    #[track_caller]
    fn check(resources: &Resources, cpus: u32, gpus: u32, threads: Option<&str>) {
        let Demand { need, env } = resources.demand(Vec::<String>::new(), None).unwrap();
        assert_eq!((need.cpus, need.gpus.0), (cpus, gpus), "{resources:?}");
        assert_eq!(env.get("OMP_NUM_THREADS").map(String::as_str), threads, "{resources:?}");
    }
    let unset = Resources::default();
    let ranks = Resources { ranks_per_node: Some(6), threads_per_rank: Some(3), ..unset.clone() };
    check(&unset, 0, 0, None);
    check(&ranks, 18, 0, Some("3"));
    check(&Resources { threads_per_core: Some(4), ..ranks.clone() }, 5, 0, Some("3"));
    check(&Resources { threads_per_core: Some(4), ..unset.clone() }, 1, 0, Some("1"));
    check(&Resources { gpus_per_rank: Some(Thousandths(250)), ..ranks.clone() }, 18, 1500, Some("3"));
    check(&Resources { gpus_per_rank: Some(Thousandths(250)), ..unset.clone() }, 0, 250, None);
    check(&Resources { num_nodes: Some(1), node_packing_count: Packing::new(2), ..unset.clone() }, 0, 0, None);
    check(&Resources { ranks_per_node: Some(u32::MAX), threads_per_rank: Some(9), ..unset }, u32::MAX, 0, Some("9"));
}

#[test]
fn what_can_never_fit_is_refused_with_the_reason() {
    #[track_caller]
    fn check(json: &str, expected: &str) {
        let found = fits_ever(&need(json), &machine()).map_err(|never| never.to_string());
        assert_eq!(found, if expected.is_empty() { Ok(()) } else { Err(expected.to_owned()) });
    }
    let two = Resources { num_nodes: Some(2), ..Resources::default() };
    let refused = two.demand(Vec::<String>::new(), None).unwrap_err();
    assert_eq!(refused.to_string(), "it needs 2 nodes, and this machine is one");
    check(r#"{"cpus":9}"#, "it needs 9 cpus, and the machine has 8");
    check(r#"{"memory":17179869185}"#, "it needs 16.0 GiB of memory, and the machine has 16.0 GiB");
    check(r#"{"gpus":2001}"#, "it needs 2.001 GPUs, and the machine has 2");
    check(r#"{"cpus":8,"memory":17179869184,"gpus":2000,"packing":1,"locks":["a"],"group":"few"}"#, "");
    let none = Capacity::new(&Machine::default(), Found { cpus: 1, memory: 1, gpus: 0 });
    let never = fits_ever(&need(r#"{"gpus":500}"#), &none).unwrap_err();
    assert_eq!(never.to_string(), "it needs 0.5 GPU, and the machine has 0");
    assert!(never.hint().contains("[machine]") && refused.hint().contains("num_nodes"));
}

#[test]
fn what_the_registry_says_of_the_machine_holds() {
    let gpus = [GpuId::Index(3), GpuId::parse("GPU-8932f937").unwrap()];
    let said = Machine { cpus: Some(4), memory: None, gpus: Some(gpus.into()) };
    let capacity = Capacity::new(&said, Found { cpus: 64, memory: 7, gpus: 8 });
    assert_eq!((capacity.cpus, capacity.memory, capacity.gpus.len()), (4, 7, 2));
    let head = need(r#"{"gpus":2000}"#);
    let head = Head { need: &head, priority: 0, job: JobId(1), runnable_since: at(0) };
    let holds = pick(&[head], &[], &capacity, at(0)).unwrap().holds;
    assert_eq!(holds.env()["CUDA_VISIBLE_DEVICES"], "3,GPU-8932f937");
    assert_eq!(holds.env()["CUDA_DEVICE_ORDER"], "PCI_BUS_ID");
    assert!(Holds::default().env().is_empty());
    for text in ["", "-1", "a b", "GPU,1", "1x", "ä"] {
        assert_eq!(GpuId::parse(text), Err(GpuIdError::NotOne(text.to_owned())));
    }
    assert_eq!(serde_json::from_str::<Machine>(&serde_json::to_string(&said).unwrap()).unwrap(), said);
}

#[test]
fn the_higher_priority_goes_first_then_the_lower_id() {
    let (nothing, cpu) = (Need::default(), need(r#"{"cpus":1}"#));
    let head = |need, priority, job| Head { need, priority, job: JobId(job), runnable_since: at(0) };
    let first = |heads: &[Head<'_>]| heads[pick(heads, &[], &machine(), at(0)).unwrap().head].job.0;
    assert_eq!(first(&[head(&nothing, 0, 7), head(&cpu, 0, 5)]), 5);
    assert_eq!(first(&[head(&nothing, 1, 7), head(&cpu, 0, 5)]), 7);
    assert_eq!(first(&[head(&nothing, -1, 3), head(&cpu, 0, 5)]), 5);
    assert_eq!(pick(&[], &[], &machine(), at(0)), None);
}

#[test]
fn gpus_are_given_whole_from_the_lowest_and_in_parts_beside_others() {
    #[track_caller]
    fn check(running: &[Running], gpus: u32, expected: &str) {
        let found = next(&[&format!(r#"{{"gpus":{gpus}}}"#)], running, 0);
        let text = found.map(|(_, holds)| serde_json::to_string(&holds.gpus).unwrap()).unwrap_or_default();
        assert_eq!(text, expected);
    }
    let half = running(&[r#"{"gpus":500}"#]);
    check(&half, 500, r#"{"0":500}"#);
    check(&half, 600, r#"{"1":600}"#);
    check(&half, 1000, r#"{"1":1000}"#);
    check(&half, 1500, r#"{"0":500,"1":1000}"#);
    check(&half, 1600, "");
    // The fullest that has room, so that the rest stays whole.
    let both = running(&[r#"{"gpus":300}"#, r#"{"gpus":800}"#]);
    check(&both, 200, r#"{"1":200}"#);
    check(&both, 300, r#"{"0":300}"#);
    check(&both, 1000, "");
    check(&running(&[r#"{"gpus":1000}"#]), 1000, r#"{"1":1000}"#);
    check(&running(&[r#"{"gpus":2000}"#]), 1, "");
}

#[test]
fn parts_of_the_machine_add_up_to_one() {
    let third = r#"{"packing":3}"#;
    assert_eq!(job(&[third], &running(&[third, third]), 0), Some(1));
    assert_eq!(job(&[third], &running(&[third, third, third]), 0), None);
    assert_eq!(job(&[r#"{"packing":6}"#], &running(&[third, r#"{"packing":2}"#]), 0), Some(1));
    assert_eq!(job(&[r#"{"packing":5}"#], &running(&[third, r#"{"packing":2}"#]), 0), None);
    // Jobs that say nothing of it are not concerned.
    assert_eq!(job(&[r#"{"cpus":8}"#], &running(&[r#"{"packing":1}"#]), 0), Some(1));
    assert_eq!((Packing::new(0), Packing::new(1001)), (None, None));
}

#[test]
fn a_job_that_does_not_fit_is_overtaken_for_a_while_only() {
    let (four, six, two) = (r#"{"cpus":4}"#, r#"{"cpus":6}"#, r#"{"cpus":2}"#);
    let held = running(&[four]);
    assert_eq!(job(&[six, four], &held, 59), Some(2));
    assert_eq!(job(&[six, four], &held, 60), None);
    // 6 and 2 fit beside each other once the rest has ended; two of 2 do not.
    assert_eq!(job(&[six, two], &held, 60), Some(2));
    let mut more = running(&[four, two]);
    more[1].since = at(60);
    assert_eq!(job(&[six, two], &more, 61), None);
    more[1].since = at(59);
    assert_eq!(job(&[six, two], &more, 61), Some(2));
    // What uses nothing that is set aside goes on.
    assert_eq!(job(&[six, r#"{"memory":5}"#], &held, 1000), Some(2));
    assert_eq!(job(&[six, "{}"], &held, 1000), Some(2));
    assert_eq!(job(&[six, two], &held[..0], 1000), Some(1));
}

#[test]
fn a_higher_priority_is_not_held_back() {
    let (big, small) = (need(r#"{"cpus":8}"#), need(r#"{"cpus":1}"#));
    let waiting = Head { need: &big, priority: 0, job: JobId(1), runnable_since: at(0) };
    let urgent = Head { need: &small, priority: 1, job: JobId(2), runnable_since: at(0) };
    let held = running(&[r#"{"cpus":1}"#]);
    assert_eq!(pick(&[waiting, urgent], &held, &machine(), at(1000)).map(|pick| pick.head), Some(1));
}

#[test]
fn nothing_is_set_aside_for_what_can_never_run() {
    assert_eq!(job(&[r#"{"cpus":9}"#, r#"{"cpus":8}"#], &[], 1000), Some(2));
}

#[test]
fn a_gpu_is_kept_whole_for_who_waits_for_it() {
    let held = running(&[r#"{"gpus":400}"#]);
    let two = r#"{"gpus":2000}"#;
    assert_eq!(job(&[two, r#"{"gpus":400}"#], &held, 0), Some(2));
    assert_eq!(job(&[two, r#"{"gpus":400}"#], &held, 60), None);
    // One GPU and a part of the other: the parts go together.
    let (one, held) = (r#"{"gpus":1000}"#, running(&[r#"{"gpus":400}"#, r#"{"gpus":700}"#]));
    assert_eq!(job(&[one, r#"{"gpus":300}"#], &held, 60), Some(2));
}

#[test]
fn who_waits_for_a_lock_blocks_nobody_else() {
    let held = running(&[r#"{"locks":["db"]}"#]);
    let waits = r#"{"cpus":8,"locks":["db","disk"]}"#;
    assert_eq!(job(&[waits, r#"{"cpus":1}"#], &held, 1000), Some(2));
    assert_eq!(job(&[waits, r#"{"locks":["disk"]}"#], &held, 1000), Some(2));
    assert_eq!(job(&[waits, r#"{"locks":["db"]}"#], &held, 1000), None);
    // Who waits for the machine keeps its locks too.
    let held = running(&[r#"{"cpus":1}"#]);
    assert_eq!(job(&[waits, r#"{"locks":["disk"]}"#], &held, 0), Some(2));
    assert_eq!(job(&[waits, r#"{"locks":["disk"]}"#], &held, 60), None);
    assert_eq!(job(&[waits, r#"{"locks":["tape"]}"#], &held, 60), Some(2));
    let task = TaskName::parse("LOL").ok();
    let front = [Running { job: JobId(101), task, since: at(0), holds: Holds::only_locks(["db"]) }];
    assert_eq!(job(&[r#"{"locks":["db"]}"#], &front, 0), None);
    says(r#"{"locks":["db"]}"#, &front, "lock `db` is held by task `LOL`");
}

#[test]
fn a_full_or_paused_group_blocks_nobody_else() {
    let few = r#"{"group":"few"}"#;
    assert_eq!(job(&[few], &running(&[few]), 0), Some(1));
    let full = running(&[few, few]);
    assert_eq!(job(&[few], &full, 0), None);
    assert_eq!(job(&[r#"{"cpus":8,"group":"few"}"#, r#"{"cpus":8}"#], &full, 1000), Some(2));
    // Its place in the group is kept for who waits for the machine.
    let held = running(&[r#"{"cpus":1}"#, few]);
    assert_eq!(job(&[r#"{"cpus":8,"group":"few"}"#, few], &held, 0), Some(2));
    assert_eq!(job(&[r#"{"cpus":8,"group":"few"}"#, few], &held, 60), None);
    let mut capacity = machine();
    capacity.pause_group("few");
    let paused = need(r#"{"cpus":8,"group":"few"}"#);
    let head = Head { need: &paused, priority: 0, job: JobId(1), runnable_since: at(0) };
    let other = need(r#"{"cpus":1}"#);
    let behind = Head { need: &other, job: JobId(2), ..head };
    let held = running(&[r#"{"cpus":1}"#]);
    assert_eq!(pick(&[head, behind], &held, &capacity, at(1000)).map(|pick| pick.head), Some(1));
}

#[test]
fn what_keeps_a_job_from_starting_is_said_with_who_has_it() {
    let held =
        running(&[r#"{"cpus":4,"locks":["gpu0"]}"#, r#"{"cpus":2,"memory":17179869184,"gpus":500,"packing":2}"#]);
    says("{}", &held, "");
    says(r#"{"cpus":2}"#, &held, "");
    says(r#"{"cpus":4}"#, &held, "it needs 4 cpus, 2 of 8 free; job 101 holds 4, job 102 holds 2");
    says(r#"{"cpus":9}"#, &held, "it needs 9 cpus, and the machine has 8");
    says(r#"{"memory":1024}"#, &held, "it needs 1.0 KiB of memory, 0 B of 16.0 GiB free; job 102 holds 16.0 GiB");
    says(r#"{"gpus":2000}"#, &held, "it needs 2 GPUs, 1.5 of 2 free; job 102 holds 0.5");
    says(r#"{"packing":1}"#, &held, "it needs all of the machine, less is free; job 102 holds 1/2");
    says(r#"{"cpus":4,"locks":["a","gpu0"]}"#, &held, "lock `gpu0` is held by job 101");
    says(r#"{"cpus":4,"group":"still"}"#, &held, "group `still` is paused");
    let full = running(&[r#"{"group":"few"}"#, "{}", r#"{"group":"few"}"#]);
    says(r#"{"group":"few"}"#, &full, "group `few` is full (2/2): jobs 101, 103");
    let many = running(&[r#"{"cpus":1}"#; 8]);
    let first = "job 101 holds 1, job 102 holds 1, job 103 holds 1, job 104 holds 1, job 105 holds 1";
    says(r#"{"cpus":1}"#, &many, &format!("it needs 1 cpu, 0 of 8 free; {first}, 3 more"));
}

#[test]
fn a_job_that_is_held_back_is_told_for_whom() {
    let (big, small) = (need(r#"{"cpus":8}"#), need(r#"{"cpus":1}"#));
    let first = Head { need: &big, priority: 0, job: JobId(1), runnable_since: at(0) };
    let second = Head { need: &small, priority: 0, job: JobId(2), runnable_since: at(0) };
    let held = running(&[r#"{"cpus":1}"#]);
    let found = |job: &Head<'_>, second: i64| {
        let heads = [first, Head { job: JobId(2), ..*job }];
        obstacle_in_queue(job, &heads, &held, &machine(), at(second)).map(|found| found.to_string())
    };
    assert_eq!(found(&second, 0), None);
    let says = "what it needs is set aside for job 1, which goes first and has waited long enough";
    assert_eq!(found(&second, 60).as_deref(), Some(says));
    assert_eq!(found(&first, 60).as_deref(), Some("it needs 8 cpus, 7 of 8 free; job 101 holds 1"));
}
