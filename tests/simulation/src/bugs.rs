//! Known faults, each of which a simulation has to find: what shows that it can fail.

/// A fault that can be switched on in a build with the feature `faults`.
#[derive(Clone, Copy, Debug)]
pub struct Bug {
    /// What it is called where it stands in the code.
    pub name: &'static str,
    /// What is done wrong.
    pub meaning: &'static str,
}

const fn bug(name: &'static str, meaning: &'static str) -> Bug {
    Bug { name, meaning }
}

/// All of them.
pub const ALL: &[Bug] = &[bug("lost-carry", "the ingestor forgets what was too few for a batch")];

/// Switches a fault on, and every other off.
///
/// # Errors
/// A sentence, if there is no such fault or this build has none.
pub fn switch(name: &str) -> Result<(), String> {
    let known = ALL.iter().find(|bug| bug.name == name);
    let bug = known.ok_or_else(|| format!("no fault is called {name:?}: see --list-bugs"))?;
    turn_on(bug.name)
}

#[cfg(feature = "faults")]
fn turn_on(name: &'static str) -> Result<(), String> {
    tallybox_service::fault::switch(Some(name));
    Ok(())
}

#[cfg(not(feature = "faults"))]
fn turn_on(_: &'static str) -> Result<(), String> {
    Err("this build has no faults: build it with --features faults".to_owned())
}
