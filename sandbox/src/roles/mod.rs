//! Every program of a sandbox that stays up, opened by its own configuration file as its operator would, but on the
//! sandbox's clock and in its weather.
//!
//! | file | holds |
//! |---|---|
//! | `part` | which programs there are, and their files |
//! | `setting` | opens them |
//! | `company` | all of them in this process |
//! | `command` | one of them as a process of its own: what can be killed |

mod command;
mod company;
mod part;
mod setting;

pub use command::RoleArgs;
pub use company::Company;
pub use part::Part;
pub use setting::Setting;
