//! Commands and workers killed at random times, round after round in one folder.

use std::process::Stdio;
use std::time::Duration;

use super::super::env::kill;
use super::truth::{TASK, Witness, workers, written_pids};
use super::{STAYS, with_task};

/// The rounds, and where they begin: `JOBEXEC_KILL_ROUNDS`, `JOBEXEC_KILL_SEED`.
pub(in crate::suite) fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().map_or(otherwise, |text| text.parse().unwrap())
}

/// A small generator: the same seed, the same numbers (splitmix64).
pub(in crate::suite) struct Random(pub(in crate::suite) u64);

impl Random {
    pub(in crate::suite) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

#[test]
fn anybody_killed_at_any_time() {
    let (rounds, seed) = (number("JOBEXEC_KILL_ROUNDS", 30), number("JOBEXEC_KILL_SEED", 1));
    println!("{rounds} rounds from seed {seed}");
    let mut random = Random(seed);
    let env = with_task(STAYS);
    let mut witness = Witness::new(&env, &[]);
    for round in 0..rounds {
        let verb = ["start", "start", "restart", "stop"][usize::try_from(random.below(4)).unwrap()];
        let command = env.command(&[verb, TASK]).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut command = command.unwrap();
        // No wait for anything: the moment of the kill is what is chosen at random.
        std::thread::sleep(Duration::from_micros(random.below(25_000)));
        let whom = random.below(3);
        if whom != 1 {
            kill(i32::try_from(command.id()).unwrap(), 9);
        }
        if whom != 0 {
            workers(&env).into_iter().for_each(|worker| kill(worker, 9));
        }
        let code = command.wait().unwrap().code();
        println!("round {round}: {verb}, killed {}, {code:?}", ["command", "worker", "both"][whom as usize]);
        let view = witness.look();
        assert!(matches!(view.outcome(), "" | "lost" | "never_started" | "stopped"), "{view:?}");
        if random.below(3) == 0 {
            witness.stop();
        }
    }
    witness.stop();
    witness.follow_up(usize::try_from(2 * rounds).unwrap());
    assert!(rounds < 10 || !written_pids(&env).is_empty(), "nothing ever ran");
}
