//! Nouns: values with arithmetic of their own. Touches nothing, imports no other room.

pub mod build;
pub mod capacity;
pub mod dump;
pub mod error;
pub mod event;
pub mod evidence;
pub mod heard;
pub mod kinds;
pub mod memory;
pub mod message;
pub mod mutex;
pub mod need;
pub mod printable;
pub mod process;
pub mod request;
pub mod row;
pub mod set;
pub mod settings;
pub mod shortage;
pub mod state;
pub mod table;
pub mod time;
pub mod trial;
pub mod users;
pub mod verdict;
pub mod world;
