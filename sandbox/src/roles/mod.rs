//! The programs of a long-running sandbox. Each is opened from its own configuration file, as an
//! operator would, but with the sandbox clock and with fault injection.
//!
//! | file | content |
//! |---|---|
//! | `role_process` | the programs and their configuration files |
//! | `setting` | opens the programs |
//! | `in_process` | all programs inside this process |
//! | `command` | one program as a child process, which can be killed |

mod command;
mod in_process;
mod role_process;
mod setting;

pub use command::RoleArgs;
pub use in_process::InProcessRoles;
pub(crate) use in_process::MAX_ROUNDS;
pub use role_process::RoleProcess;
pub use setting::Setting;
