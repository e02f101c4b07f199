//! `gantry-keeper`: holds one running container. Started by gantryd alone, with its control socket as standard input.

use std::process::ExitCode;

fn main() -> ExitCode {
    match gantry_engine::keeper::serve::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Seen only by someone who starts the program by hand: gantryd has closed this stream.
            eprintln!("gantry-keeper: {error} (it is started by gantryd, with a socket as standard input)");
            ExitCode::FAILURE
        }
    }
}
