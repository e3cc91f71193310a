//! What a task needs of the machine, and `[machine]`.

use std::path::Path;

use super::{HEAD, one, refused, wrong};
use crate::domain::amount::LONGEST_DURATION;
use crate::domain::resources::{GpuId, Machine, Packing, Resources};
use crate::domain::restart::Thousandths;
use crate::registry::Registry;

#[track_caller]
fn machine(body: &str) -> Machine {
    match Registry::parse(&format!("{HEAD}{body}"), Path::new("/base")) {
        Ok(registry) => registry.settings.machine,
        Err(mistakes) => panic!("{mistakes}"),
    }
}

/// The resources of a task with these fields under these defaults.
#[track_caller]
fn resources(defaults: &str, own: &str) -> Resources {
    one(&format!("[defaults]\n{defaults}\n[task.a]\nscript='x'\n{own}\n")).resources
}

#[test]
fn resources_are_read_in_their_forms() {
    assert!(resources("", "").is_empty());
    let found = resources("", "resources = { cpus = 0, memory = '2 GiB', gpus = 1.5, node_packing_count = 4 }");
    let expected = Resources {
        cpus: Some(0),
        memory: Some(2 << 30),
        gpus: Some(Thousandths(1500)),
        node_packing_count: Packing::new(4),
        ..Resources::default()
    };
    assert_eq!(found, expected);
    wrong("resources.cpus = 1.5", 18, "expected an integer, found a float");
    wrong("resources.cpus = -1", 18, "-1 is not a number from 0 to 1000000");
    wrong("resources.memory = 'much'", 20, "`much` is not a size");
    wrong("resources.gpus = '1'", 18, "expected a number, found a string");
    wrong("resources.gpus = 1025", 18, "1025 is not a number from 0 to 1024");
    wrong("resources.num_nodes = 0", 23, "0 is not a number from 1 to 1000000");
    wrong("resources.node_packing_count = 1001", 32, "1001 is not a number from 1 to 1000");
    wrong("resources.wall_time_min = 0", 27, "0 is not a number from 1 to 14400000");
    refused(
        "[task.a]\nscript='x'\nresources.cpu=1\n",
        &["3:11 unknown key `resources.cpu` in [task.a] [did you mean `resources.cpus`?]"],
    );
}

#[test]
fn what_says_the_same_in_other_words_cannot_stand_beside_it() {
    for (own, place) in [
        (
            "resources.ranks_per_node=2\nresources.cpus=2",
            "`resources.cpus` cannot stand beside `resources.ranks_per_node`",
        ),
        ("resources.cpus=2\nresources.threads_per_rank=2", "`resources.threads_per_rank` cannot stand beside"),
        ("resources.cpus=2\nresources.threads_per_core=2", "`resources.threads_per_core` cannot stand beside"),
        (
            "resources.gpus=2\nresources.gpus_per_rank=2",
            "`resources.gpus_per_rank` cannot stand beside `resources.gpus`",
        ),
        ("timeout='1h'\nresources.wall_time_min=2", "`resources.wall_time_min` cannot stand beside `timeout`"),
    ] {
        for body in [format!("[task.a]\nscript='x'\n{own}\n"), format!("[defaults]\n{own}\n")] {
            let mistakes = Registry::parse(&format!("{HEAD}{body}"), Path::new("/base")).unwrap_err();
            let said: Vec<String> = mistakes.iter().map(|mistake| mistake.problem.to_string()).collect();
            assert!(said.len() == 1 && said[0].starts_with(place), "{said:?}");
        }
    }
}

#[test]
fn a_default_in_other_words_is_ignored() {
    let threads = resources("resources.cpus=8\nresources.gpus=2\nresources.memory=7", "resources.ranks_per_node=2");
    assert_eq!((threads.cpus, threads.ranks_per_node, threads.memory), (None, Some(2), Some(7)));
    assert_eq!(threads.gpus, Some(Thousandths(2000)));
    let cpus = resources("resources={ranks_per_node=2,threads_per_rank=3,gpus_per_rank=1}", "resources.cpus=4");
    assert_eq!((cpus.cpus, cpus.ranks_per_node, cpus.threads_per_rank), (Some(4), None, None));
    assert_eq!(cpus.gpus_per_rank, Some(Thousandths(1000)));
    let gpus = resources("resources.gpus_per_rank=1", "resources.gpus=0");
    assert_eq!((gpus.gpus, gpus.gpus_per_rank), (Some(Thousandths(0)), None));
}

#[test]
fn the_wall_time_is_the_timeout() {
    let timeout = |defaults: &str, own: &str| {
        one(&format!("[defaults]\n{defaults}\n[task.a]\nscript='x'\n{own}\n"))
            .timeout
            .map(|timeout| timeout.as_secs() / 60)
    };
    assert_eq!(timeout("", "resources.wall_time_min=90"), Some(90));
    assert_eq!(timeout("timeout='1m'", "resources.wall_time_min=90"), Some(90));
    assert_eq!(timeout("resources.wall_time_min=90", ""), Some(90));
    assert_eq!(timeout("resources.wall_time_min=90", "timeout='1m'"), Some(1));
    let longest = one("[task.a]\nscript='x'\nresources.wall_time_min=14400000\n").timeout;
    assert_eq!(longest, Some(LONGEST_DURATION));
}

#[test]
fn the_machine_is_read() {
    assert_eq!(machine(""), Machine::default());
    assert_eq!(machine("[machine]\n"), Machine::default());
    let found = machine("[machine]\ncpus = 6\nmemory = '12 GiB'\ngpus = 2\n");
    let gpus = [GpuId::Index(0), GpuId::Index(1)];
    assert_eq!(found, Machine { cpus: Some(6), memory: Some(12 << 30), gpus: Some(gpus.into()) });
    let list = machine("machine.gpus = [3, 'GPU-8932f937', '0']\n").gpus.unwrap();
    assert_eq!(list.iter().map(GpuId::to_string).collect::<Vec<_>>(), ["0", "3", "GPU-8932f937"]);
    assert_eq!(machine("[machine]\ngpus = []\n").gpus, Some([].into()));
}

#[test]
fn a_mistake_about_the_machine_is_shown_where_it_is() {
    refused(
        "[machine]\ncpus = 0\nmemory = 'all'\nram = 1\ngpu = 1\ngpus = [1, 'a b', 1]\n",
        &[
            "2:8 `machine.cpus`: 0 is not a number from 1 to 1000000",
            "3:10 `machine.memory`: `all` is not a size (try `500 MB`, `2 GiB` or a number of bytes)",
            "4:1 unknown key `machine.ram` in [machine]",
            "5:1 unknown key `machine.gpu` in [machine] [did you mean `gpus`?]",
            "6:12 `machine.gpus`: `a b` is neither the index nor the name of a GPU \
             (try `0` or `GPU-8932f937-d72c-4106-c12f-20bd9faed9f6`)",
            "6:19 `machine.gpus`: GPU `1` is named twice",
        ],
    );
    refused("machine = 4\n", &["1:11 `machine`: expected a table, found an integer"]);
    refused(
        "[machine]\ngpus = 'all'\n",
        &["2:8 `machine.gpus`: expected a number or an array, found a string [write it as `2`, or as `[0, 1]`]"],
    );
    refused("[machin]\ncpus = 1\n", &["1:2 unknown key `machin` in the file [did you mean `machine`?]"]);
}
