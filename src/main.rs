//! The one binary: every service and every operator command of Larder.
//!
//! A command is a file in `commands/` with its flags and a `run`, and a line in [`commands::Command`].
//!
//! Exit codes: 0 well, 1 failed, 2 wrong usage, 3 a plan or a check found a difference.

mod commands;

use std::process::ExitCode;

use clap::Parser;

/// Many small things are made and dropped for every order.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Orders over HTTP, ingredients reserved so that nothing is oversold, a mail when one runs low.
#[derive(Debug, Parser)]
#[command(name = "larder", version, propagate_version = true, max_term_width = 120)]
struct Larder {
    #[command(subcommand)]
    command: commands::Command,
}

fn main() -> ExitCode {
    service::tls::install_crypto_provider();
    let Larder { command } = Larder::parse();
    service::block_on(async {
        command.run().await.unwrap_or_else(|error| {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        })
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Larder;

    #[test]
    fn no_flag_of_a_command_is_in_anothers_way() {
        Larder::command().debug_assert();
    }
}
