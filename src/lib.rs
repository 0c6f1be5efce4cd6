//! The internals of httpd-semguard, which removes what a dead Apache httpd left behind in the System V
//! semaphore table before httpd is started again, and reports whether there is room for its locks.
//!
//! This library is internal: it exists for the program, its tests, its benchmark and its fuzz targets.
//! Nothing else may rely on it, and any version may change all of it.
//!
//! The folder determines what a line may touch (docs/architecture.md): [`cli`] passes the options to
//! [`guard`], which calls [`look`] to observe, [`decide`] to judge, and [`act`] to remove and to try;
//! [`tell`] reports the result. What they pass to each other are [`facts`].

pub mod act;
pub mod cli;
pub mod decide;
pub mod facts;
pub mod guard;
pub mod look;
pub mod tell;
