//! The daemon's command line: arguments to a configuration to a running daemon, nothing else.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use secondaryd::config::{Config, DEFAULT_PATH};
use secondaryd::{daemon, demo};

/// A secondary DNS server that tells its admins what every primary is doing and why.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run in the foreground until SIGTERM; logs to stderr.
    Run {
        /// The configuration file.
        #[arg(long, value_name = "FILE", default_value = DEFAULT_PATH)]
        config: PathBuf,
    },
    /// Check a configuration file: exit 0, or exit 1 with file, line, key and what is wrong.
    CheckConfig {
        /// The configuration file.
        #[arg(long, value_name = "FILE", default_value = DEFAULT_PATH)]
        config: PathBuf,
    },
    /// Show the main job on this machine: a hidden primary whose zone changes every few seconds, and a secondary of it.
    Demo {
        /// Where DNS is answered.
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:5300")]
        dns_listen: SocketAddr,
        /// Where the API and the dashboard are.
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8053")]
        api_listen: SocketAddr,
    },
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Run { config } => daemon::run(&config),
        Command::CheckConfig { config } => return check(&config),
        Command::Demo { dns_listen, api_listen } => demo::run(dns_listen, api_listen),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("secondaryd: {error}");
            ExitCode::FAILURE
        }
    }
}

fn check(path: &std::path::Path) -> ExitCode {
    match Config::load(path) {
        Ok(config) => {
            let lacking = daemon::lacks_descriptors(&config);
            let warnings = config.warnings.iter().chain(&lacking);
            warnings.for_each(|warning| eprintln!("warning: {warning}"));
            println!("{}: configuration is valid, {} zones", path.display(), config.zones.len());
            ExitCode::SUCCESS
        }
        Err(errors) => {
            eprintln!("{errors}");
            ExitCode::FAILURE
        }
    }
}
