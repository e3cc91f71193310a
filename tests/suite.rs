//! The binary as a user runs it: real processes, real files, a real database.

mod suite {
    pub mod env;

    mod docs;
    mod flow;
    mod house;
    mod kill;
    mod output;
    mod refusal;
    mod registry;
    mod samples;
    mod status;
    mod stop;
}
