//! Pictures as they are drawn.

use super::*;

fn node(id: i64, state: State, what: &str) -> Node {
    Node { id: JobId(id), state, held: false, what: what.to_owned() }
}

fn link(parent: i64, child: i64, kind: Edge) -> Link {
    Link { parent: JobId(parent), child: JobId(child), kind: Tie::Waits(kind) }
}

fn drawn(nodes: &[Node], links: &[Link], width: Option<u16>) -> String {
    let mut out = Vec::new();
    tree(nodes, links, width, &mut out).unwrap();
    anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string()
}

fn diamond() -> (Vec<Node>, Vec<Link>) {
    let mut nodes = vec![
        node(1, State::JobFinished, "fetch"),
        node(2, State::Running, "fit"),
        node(3, State::Failed, "sh -c \"a\\b\""),
        node(4, State::AwaitingParents, "report"),
        node(9, State::Preprocessed, "alone"),
    ];
    nodes[3].held = true;
    let links = vec![
        link(1, 2, Edge::Success),
        link(1, 3, Edge::End),
        link(2, 4, Edge::Success),
        link(3, 4, Edge::Failure),
        link(7, 9, Edge::Success),
    ];
    (nodes, links)
}

#[test]
fn a_job_with_two_parents_is_drawn_once_and_then_named() {
    let (nodes, links) = diamond();
    let expected = "\
1 JOB_FINISHED fetch
├─ 2 RUNNING fit
│  └─ 4 AWAITING_PARENTS (held) report
└─ :end 3 FAILED sh -c \"a\\b\"
   └─ :failure 4 (see above)
9 PREPROCESSED alone
";
    assert_eq!(drawn(&nodes, &links, None), expected);
    assert_eq!(drawn(&[], &[], None), "");
}

#[test]
fn what_no_root_leads_to_is_drawn_too() {
    let nodes = [node(1, State::Created, "x"), node(2, State::Created, "y")];
    let circle = [link(1, 2, Edge::Success), link(2, 1, Edge::Success)];
    assert_eq!(drawn(&nodes, &circle, None), "1 CREATED x\n└─ 2 CREATED y\n   └─ 1 (see above)\n");
}

#[test]
fn it_fits_its_terminal() {
    let (nodes, links) = diamond();
    for width in [12, 20, 30] {
        let text = drawn(&nodes, &links, Some(width));
        assert!(text.lines().all(|line| line.chars().count() <= usize::from(width)), "{width}:\n{text}");
        assert_eq!(text.lines().count(), 6);
    }
    assert!(drawn(&nodes, &links, Some(30)).contains("│  └─ 4 AWAITING_PARENTS (hel…"));
}

#[test]
fn a_chain_goes_on_at_the_margin() {
    let nodes: Vec<Node> = (1..=60).map(|id| node(id, State::Created, "x")).collect();
    let links: Vec<Link> = (1..60).map(|id| link(id, id + 1, Edge::Success)).collect();
    let text = drawn(&nodes, &links, None);
    assert!(text.contains("└─ 25 (goes on below)\n25 CREATED x\n└─ 26 CREATED x\n"), "{text}");
    for id in 1..=60 {
        let full = text.lines().filter(|line| line.contains(&format!("{id} CREATED"))).count();
        assert!(full >= 1, "{id}:\n{text}");
    }
}

#[test]
fn a_hundred_thousand_jobs_are_drawn_without_end_of_stack_or_paper() {
    let nodes: Vec<Node> = (0..100_000).map(|id| node(id, State::Created, "x")).collect();
    let chain: Vec<Link> = (1..100_000).map(|id| link(id - 1, id, Edge::Success)).collect();
    let text = drawn(&nodes, &chain, None);
    assert!(text.lines().count() < 110_000 && text.len() < 20_000_000);
    let fan: Vec<Link> = (1..100_000).map(|id| link(0, id, Edge::Success)).collect();
    assert_eq!(drawn(&nodes, &fan, Some(80)).lines().count(), 100_000);
}

#[test]
fn the_source_of_a_drawing_quotes_what_it_must() {
    let (nodes, links) = diamond();
    let mut out = Vec::new();
    dot(&nodes, &links[..4], &mut out).unwrap();
    let expected = r#"digraph jobs {
  rankdir=LR;
  node [shape=box, style="rounded,filled", fillcolor=white];
  1 [label="1 fetch\nJOB_FINISHED", fillcolor=palegreen];
  2 [label="2 fit\nRUNNING", fillcolor=lightskyblue];
  3 [label="3 sh -c \"a\\b\"\nFAILED", fillcolor=lightcoral];
  4 [label="4 report\nAWAITING_PARENTS (held)", fillcolor=white];
  9 [label="9 alone\nPREPROCESSED", fillcolor=white];
  1 -> 2;
  1 -> 3 [label="end", style=dashed];
  2 -> 4;
  3 -> 4 [label="failure", style=dotted, color=red];
}
"#;
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}
