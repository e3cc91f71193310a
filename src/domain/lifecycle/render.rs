//! The table as a person reads it.

use super::{Hooked, Input, Parents, Policy, State, step};
use crate::domain::task::Restart;

/// The lifecycle as `docs/lifecycle.md` shows it: what each state means, and every legal move of a job that has nothing
/// beside its run, that has everything, and that is run again.
pub fn render() -> String {
    let mut text = String::from("| state | meaning |\n| --- | --- |\n");
    for state in State::ALL {
        text += &format!("| {state} | {} |\n", state.meaning());
    }
    text += "\n| from | what happened | plain job | parents waiting, transfers, hooks | runs again |\n| --- | --- | --- | --- | --- |\n";
    let plain = Policy { retries: Some(0), ..Policy::default() };
    let hooks = Hooked { preprocess: true, postprocess: true, handle_error: true, handle_timeout: true };
    let full = Policy { parents: Parents::Waiting, stage_in: true, stage_out: true, hooks, ..plain };
    let again = Policy { restart: Restart::Always, has_run: true, ..plain };
    for state in State::ALL {
        for input in Input::ALL {
            let moves = [plain, full, again].map(|policy| step(state, input, policy));
            if let [Ok(one), Ok(two), Ok(three)] = moves {
                let other = |path: Vec<State>| if path == one { String::from("the same") } else { show(&path) };
                let (two, three) = (other(two), other(three));
                text += &format!("| {state} | {} | {} | {two} | {three} |\n", input.describe(), show(&one));
            }
        }
    }
    text
}

fn show(path: &[State]) -> String {
    if path.is_empty() {
        return String::from("stays");
    }
    path.iter().map(|state| state.as_str()).collect::<Vec<_>>().join(" → ")
}
