//! The inside of the program httpd-semguard, which removes what a dead Apache httpd left in the System
//! V semaphore table before the next httpd starts, and says whether that one will find room for its
//! locks.
//!
//! This library is internal: it is there for the program, its tests, its benchmark and its fuzz
//! targets. Nothing else may rely on it, and any version may change all of it.
//!
//! The folder says what a line may touch (docs/architecture.md): [`cli`] hands the options to [`guard`],
//! which has [`look`] find out, [`decide`] judge, and [`act`] remove and try; [`tell`] reports it. What
//! they hand each other are [`facts`].

pub mod act;
pub mod cli;
pub mod decide;
pub mod facts;
pub mod guard;
pub mod look;
pub mod tell;
