//! httpd-semguard: what a dead Apache httpd left in the System V semaphore table, removed before
//! the next httpd starts; and whether that one will find room for its locks.
//!
//! One way through, and the folder says what a line may touch (docs/architecture.md): [`cli`] →
//! [`guard`], which has [`look`] find out, [`decide`] judge, [`act`] remove and try; [`tell`] says it.
//! What they hand each other are [`facts`].

pub mod act;
pub mod cli;
pub mod decide;
pub mod facts;
pub mod guard;
pub mod look;
pub mod tell;
