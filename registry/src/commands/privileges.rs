//! Giving up what root may do, before anything else happens.
//!
//! The container image starts as root, because the volume that it finds may be root's: `registry:2` and `registry:3` write as
//! root. It goes on as the user in `CISTERN_RUN_AS` and keeps one capability of root's, to read and write files whoever owns
//! them. So nothing has to be given to the new user first, which on a gateway with a million files would take minutes.

use rustix::io::Errno;
use rustix::process::{Gid, Uid, geteuid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_keep_capabilities, set_no_new_privs,
    set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use super::Environment;

/// Whom to go on as: `USER:GROUP`, both as numbers, since an image from scratch has no list of users.
const VARIABLE: &str = "CISTERN_RUN_AS";

/// What a cache needs of root: to read and write a store and secrets that belong to others.
const KEPT: CapabilitySet = CapabilitySet::DAC_OVERRIDE;

/// What it takes to become somebody else.
const NEEDED: CapabilitySet = KEPT
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETPCAP);

/// What became of the privileges this process was started with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Privileges {
    /// Nobody asked for a change, or there were none.
    AsStarted,
    /// It goes on as this user and group, who may still write everywhere in its container.
    GivenUp(Uid, Gid),
    /// It goes on as root: root was already left with too little to become somebody else and still write to the volume.
    AreFew,
}

/// Goes on as whom the environment names, if this is root.
///
/// Only the calling thread changes, so this comes before any other is started.
pub(super) fn give_up(environment: &Environment) -> Result<Privileges, String> {
    let Some(wanted) = environment.get(VARIABLE).filter(|text| !text.is_empty()) else {
        return Ok(Privileges::AsStarted);
    };
    let (user, group) = parse(wanted)?;
    if !geteuid().is_root() || user.is_root() {
        return Ok(Privileges::AsStarted);
    }
    let failed = |error: Errno| format!("{VARIABLE}: cannot go on as {wanted}: {error}");
    let own = capabilities(None).map_err(failed)?;
    if !own.permitted.contains(NEEDED) {
        return Ok(Privileges::AreFew);
    }
    become_user(user, group).map_err(failed)?;
    Ok(Privileges::GivenUp(user, group))
}

fn become_user(user: Uid, group: Gid) -> Result<(), Errno> {
    set_keep_capabilities(true)?;
    // What a program that we start could get back. Later kernels know more of them than we do, or fewer.
    for capability in CapabilitySet::all() - KEPT {
        match remove_capability_from_bounding_set(capability) {
            Ok(()) | Err(Errno::INVAL) => {}
            Err(error) => return Err(error),
        }
    }
    set_thread_groups(&[])?;
    set_thread_res_gid(group, group, group)?;
    set_thread_res_uid(user, user, user)?;
    set_capabilities(
        None,
        CapabilitySets {
            effective: KEPT,
            permitted: KEPT,
            inheritable: CapabilitySet::empty(),
        },
    )?;
    clear_ambient_capability_set()?;
    set_no_new_privs(true)
}

fn parse(text: &str) -> Result<(Uid, Gid), String> {
    let numbers = text
        .split_once(':')
        .and_then(|(user, group)| Some((user.parse::<u32>().ok()?, group.parse::<u32>().ok()?)))
        // The last number means "as it is" to the kernel.
        .filter(|(user, group)| *user != u32::MAX && *group != u32::MAX);
    match numbers {
        Some((user, group)) => Ok((Uid::from_raw(user), Gid::from_raw(group))),
        None => Err(format!(
            "{VARIABLE}: `{text}` is no USER:GROUP; write two numbers, such as 65532:65532, or nothing to stay who you are"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(value: &str) -> Environment {
        Environment::from([(VARIABLE.to_owned(), value.to_owned())])
    }

    #[test]
    fn whoever_is_not_asked_to_change_stays_who_they_are() {
        assert_eq!(give_up(&Environment::new()), Ok(Privileges::AsStarted));
        assert_eq!(give_up(&environment("")), Ok(Privileges::AsStarted));
        assert_eq!(give_up(&environment("0:0")), Ok(Privileges::AsStarted));
    }

    #[test]
    fn a_user_that_is_no_two_numbers_is_told_and_nothing_is_begun() {
        for text in [
            "nobody",
            "65532",
            "65532:",
            ":1",
            "-1:1",
            "4294967295:1",
            "1:2:3",
        ] {
            let error = give_up(&environment(text)).unwrap_err();
            assert!(
                error.contains(text) && error.contains("65532:65532"),
                "{error}"
            );
        }
    }
}
