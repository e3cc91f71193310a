//! What the registry says of jobs: parameters, placeholders, groups, locks, work directories, hooks, transfers.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::{HEAD, Path, Program, Registry, one, read, refused, wrong};
use crate::domain::group::Label;
use crate::domain::hooks::{Hooks, Preamble};
use crate::domain::params::{self, Kind, Need};
use crate::domain::task::Task;
use crate::domain::transfer::{Direction, Mode, Transfer};

fn with(own: &str) -> Task {
    one(&format!("[task.a]\nscript='x'\n{own}\n"))
}

#[test]
fn parameters_are_read_in_their_forms() {
    let task = with(
        "params.n={type='int',default=4,help='how many'}\nparams.m.required=true\n[task.a.params.o]\n\
         [task.a.params.j]\ntype='json'\ndefault={a=[1,2.5],b=true}\n",
    );
    let n = &task.params["n"];
    assert_eq!((n.default(), n.kind, n.help.as_deref()), (Some(&json!(4)), Some(Kind::Int), Some("how many")));
    assert_eq!((&task.params["m"].need, &task.params["o"].need), (&Need::Required, &Need::Optional));
    assert_eq!(task.params["j"].default(), Some(&json!({"a": [1, 2.5], "b": true})));
    assert_eq!(params::required(&task), ["m"]);
    let defaults = "[defaults]\nparams.n={default=1,help='x'}\nparams.o={}\nenv={N='{{n}}'}\n";
    let task = one(&format!("{defaults}[task.a]\nscript='x'\nparams.n.default=2\n"));
    assert_eq!((task.params["n"].default(), &task.params["n"].help), (Some(&json!(2)), &None), "a whole one wins");
    assert!(task.params.contains_key("o"));
}

#[test]
fn a_wrong_parameter_is_refused() {
    refused(
        "[task.a]\nscript='x'\nparams.n={required=true,default=1}\nparams.9x={}\nparams.m={defualt=1,unit='m'}\n",
        &[
            "3:33 `default` cannot stand beside `required` in `params.n` [leave one of them out]",
            "4:8 `9x` is not the name of a parameter [use letters, digits and `_`, not beginning with a digit]",
            "5:11 unknown key `defualt` in `params.m` [did you mean `default`?]",
            "5:21 unknown key `unit` in `params.m` [it may say `required`, `default`, `type`, `help`]",
        ],
    );
    wrong("params.n={type='integer'}", 16, "`integer` is not one of `text`, `int`");
    wrong("params.n={type='int',default='1'}", 30, "`params.n.default`: `\"1\"` is not a whole number");
    wrong("params.n={type='bool',default=1}", 31, "is not `true` or `false`");
    wrong("params.n={default=[1]}", 19, "expected a string, a number or a boolean");
    wrong("params.n={type='json',default=[1979-05-27]}", 32, "expected something that JSON can say");
    wrong("params.n={default=inf}", 19, "expected a finite number");
    wrong("params.n={default=\"\\u0000\"}", 19, "NUL");
    wrong("params.n=1", 10, "expected a table");
    wrong("params=['n']", 8, "expected a table");
}

#[test]
fn a_wrong_placeholder_is_shown_where_it_stands() {
    wrong("args=['a','b{{.N}}c']", 13, "`args`: `{{.N}}` is no placeholder: `.N` is not the name of a parameter");
    wrong("args=[\"\\t{{\"]", 7, "`args`: `{{` is not closed by `}}`");
    wrong("env={A='{{ }}'}", 9, "`env.A`: `{{ }}` names no parameter");
    wrong("workdir='r/{{a-b}}'", 12, "`workdir`: `{{a-b}}` is no placeholder");
    wrong("transfers.d={direction='in',local='x',remote='{{'}", 47, "`transfers.d.remote`: `{{` is not closed");
    refused(
        "[task.a]\ncommand=['x','{{']\n[task.b]\nshell='''\necho {{a}} # {{b}}'''\n[defaults]\nenv.X='{{x'\n",
        &[
            "2:15 `command`: `{{` is not closed by `}}` [write `{{{{` where `{{` is meant to stand for itself]",
            "5:14 `shell`: `{{b}}` stands in a comment, where its value could be taken for shell code \
             [set a variable, `env = { B = \"{{b}}\" }`, and write `\"$B\"` there]",
            "7:8 `env.X`: `{{` is not closed by `}}` [write `{{{{` where `{{` is meant to stand for itself]",
        ],
    );
    assert_eq!(with("args=['{{{{.N}}','{{n}}']").args, ["{{{{.N}}", "{{n}}"], "kept as it is written");
    let task = one("[task.a]\nshell='docker ps --format \"{{{{.Names}}\"'\n");
    let filled = params::render(&task, &BTreeMap::new()).unwrap();
    assert_eq!(filled.program, Program::Shell("docker ps --format \"{{.Names}}\"".into()));
}

#[test]
fn a_schedule_has_no_values_to_give() {
    refused(
        "[task.a]\nscript='x'\nperiod='day'\nargs=['{{n}}']\n",
        &["3:1 `period` fires [task.a] without values, but its parameter `n` needs one \
           [give it a default: `params.n.default = …`]"],
    );
    let task = with("period='day'\nargs=['{{n}}']\nparams.n.default=1");
    assert!(params::required(&task).is_empty());
    // What only the defaults say does not make a task a mistake.
    one("[defaults]\nperiod='day'\n[task.a]\nscript='x'\nargs=['{{n}}']\n");
}

#[test]
fn the_place_in_the_queue_is_read() {
    let task = with("priority=-5\ngroup='disk'\nlocks=['gpu0','Lic.1']");
    let label = |text| Label::parse(text).unwrap();
    assert_eq!((task.priority, task.group), (-5, Some(label("disk"))));
    assert_eq!(task.locks, [label("gpu0"), label("Lic.1")]);
    let defaults = "[defaults]\npriority=3\ngroup='x'\nlocks=['y']\n";
    let task = one(&format!("{defaults}[task.a]\nscript='x'\nlocks=[]\n"));
    assert_eq!((task.priority, task.group, task.locks.len()), (3, Some(label("x")), 0));
    wrong("priority=1.5", 10, "expected an integer, found a float");
    wrong("priority=99999999999", 10, "`priority`: 99999999999 is too large");
    wrong("group='a b'", 7, "`a b` is not a name: ` ` is not allowed there");
    wrong("group=''", 7, "a name may not be empty");
    wrong("locks='x'", 7, "expected an array of strings");
    wrong("locks=['x','y','X']", 16, "`locks` names `X` twice");
    wrong("locks=['{{x}}']", 8, "is not a name");
}

#[test]
fn work_directories_stay_inside() {
    assert_eq!(with("workdir='runs/./x/'").workdir.as_deref(), Some("runs/x"));
    assert_eq!(with("workdir='{{a}}/{{b}}'").workdir.as_deref(), Some("{{a}}/{{b}}"));
    assert_eq!(with("cleanup=['*.tmp','./big/**']").cleanup, ["*.tmp", "big/**"]);
    wrong("workdir='/tmp'", 9, "`workdir`: the path `/tmp` is not relative");
    wrong("workdir='a/../b'", 9, "contains `..`");
    wrong("workdir='{{a}}/../b'", 9, "contains `..`");
    wrong("workdir='12/x'", 9, "begins with a number");
    wrong("workdir='.'", 9, "names nothing");
    wrong("workdir=''", 9, "may not be empty");
    wrong("cleanup=['a','/b']", 14, "`cleanup`: the path `/b` is not relative");
    wrong("cleanup='*'", 9, "expected an array of strings");
}

#[test]
fn hooks_and_preamble_are_read_in_their_forms() {
    let hooks = Hooks {
        preprocess: ["/bin/sh", "-c", "make {{in}}"].map(str::to_owned).to_vec(),
        handle_error: vec!["fix".to_owned(), "--now".to_owned()],
        timeout: Duration::from_mins(5),
        ..Hooks::default()
    };
    assert_eq!(
        with("hooks.preprocess='make {{in}}'\nhooks.handle_error=['fix','--now']\nhooks.timeout='5m'").hooks,
        hooks,
        "what looks like a placeholder is none there"
    );
    let defaults = "[defaults]\nhooks={preprocess='x',postprocess='y',timeout='2h'}\npreamble='env.sh'\n";
    let task = one(&format!("{defaults}[task.a]\nscript='x'\nhooks.preprocess=[]\npreamble=[]\n"));
    assert_eq!((task.hooks.preprocess.len(), task.hooks.postprocess.len()), (0, 3));
    assert_eq!((task.hooks.timeout, task.preamble), (Duration::from_hours(2), None));
    assert_eq!(with("preamble='env.sh'").preamble, Some(Preamble::File("env.sh".into())));
    let lines = ["module load x", "cd y"].map(str::to_owned).to_vec();
    assert_eq!(with("preamble=['module load x','cd y']").preamble, Some(Preamble::Lines(lines)));
    wrong("hooks.preproces='x'", 7, "unknown key `hooks.preproces`");
    wrong("hooks.timeout=0", 15, "may not be zero");
    wrong("hooks.preprocess=1", 18, "expected a string or an array of strings");
    wrong("preamble='~/x'", 10, "`~` is not expanded");
    wrong("preamble=['x',' ']", 10, "may not be empty");
    wrong("preamble=1", 10, "expected a string or an array of strings");
}

#[test]
fn slots_of_transfers_are_read() {
    let task = with(
        "transfers.data={direction='in',local='data/',remote='/d/{{n}}.csv',mode='link',help='what is counted'}\n\
         transfers.all={direction='out',local='.',required=false,recursive=true}\n",
    );
    let expected = Transfer {
        direction: Direction::In,
        local: "data".to_owned(),
        remote: Some("/d/{{n}}.csv".to_owned()),
        required: true,
        recursive: false,
        mode: Mode::Link,
        help: Some("what is counted".to_owned()),
    };
    assert_eq!(task.transfers["data"], expected);
    let all = &task.transfers["all"];
    assert_eq!((all.direction, all.local.as_str(), all.required, all.recursive), (Direction::Out, ".", false, true));
    assert_eq!(params::required(&task), ["n"]);
    refused(
        "[task.a]\nscript='x'\ntransfers.a={local='x',recurse=true}\ntransfers.b={direction='inn'}\n",
        &[
            "3:13 `transfers.a` does not say its `direction` \
             [write it as `{ direction = \"in\", local = \"input.csv\" }`]",
            "3:24 unknown key `recurse` in `transfers.a` [did you mean `recursive`?]",
            "4:13 `transfers.b` does not say its `local` [write it as `{ direction = \"in\", local = \"input.csv\" }`]",
            "4:24 `transfers.b.direction`: `inn` is not one of `in` and `out` [did you mean `in`?]",
        ],
    );
    wrong("transfers.a={direction='in',local='../x'}", 35, "`transfers.a.local`: the path `../x` contains `..`");
    wrong("transfers.a={direction='in',local='x',mode='move'}", 44, "is not one of `copy`, `link` and `reflink`");
    wrong("transfers.'a b'={direction='in',local='x'}", 11, "`a b` is not a name");
    wrong("transfers=1", 11, "expected a table");
}

#[test]
fn groups_have_limits() {
    let text = format!("{HEAD}[group.disk]\nparallel=2\n[group.net]\nparallel=1\n");
    let registry = Registry::parse(&text, Path::new("/base")).unwrap();
    let parallel = |name: &str| registry.settings.group(&Label::parse(name).unwrap()).map(|group| group.parallel);
    assert_eq!((parallel("DISK"), parallel("net"), parallel("other")), (Some(2), Some(1), None));
    assert_eq!(read("[task.a]\nscript='x'\ngroup='nowhere'\n").len(), 1, "a group needs no table");
    refused(
        "[group.a]\nparallel=0\n[group.A]\nparallel=1\n[group.b]\nparalel=1\n[group.'c d']\nparallel='x'\n",
        &[
            "2:10 `group.a.parallel`: 0 is not a number from 1 to 4294967295",
            "3:8 `A` is the same name as `a` in line 3, as case does not count [rename or remove one of them]",
            "5:1 `group.b` does not say its `parallel` [write it as `parallel = 2`]",
            "6:1 unknown key `paralel` in `group.b` [did you mean `parallel`?]",
            "7:8 `c d` is not a name: ` ` is not allowed there",
            "8:10 `group.c d.parallel`: expected an integer, found a string",
        ],
    );
    refused("group=1\n", &["1:7 `group`: expected a table, found an integer"]);
}
