//! Writes the completions for bash, zsh and fish into a directory, under the names that these
//! shells look for: `cargo run --example completions -- DIR`. A build tool, no part of the program.

use std::io;
use std::path::PathBuf;

use clap::CommandFactory;
use clap_complete::{Shell, generate_to};
use httpd_semguard::cli::Options;

fn main() -> io::Result<()> {
    let dir = std::env::args_os().nth(1).ok_or_else(|| io::Error::other("name a directory"))?;
    let dir = PathBuf::from(dir);
    std::fs::create_dir_all(&dir)?;
    let name = "httpd-semguard";
    let mut command = Options::command();
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let file = generate_to(shell, &mut command, name, &dir)?;
        if shell == Shell::Bash {
            // bash-completion looks for a file of the command's own name.
            std::fs::rename(file, dir.join(name))?;
        }
    }
    Ok(())
}
