//! The small grammars inside requests: texts that a JSON string or a parameter holds.
//!
//! Each module reads one kind of text and nothing else; what the text means for a container is the daemon's business. All
//! are total: any text gives a value or an error that says what is wrong, in the words of Docker 20.10 where it has some.
//! Booleans, filters and timestamps are read where parameters are.

pub mod bind;
pub mod environment;
pub mod link;
pub mod port;
pub mod reference;
pub mod restart;
pub mod signal;
