//! Proof that the protocol core needs no std: a program that has none, and serves a request with it.
//!
//! `#![no_std]` in core says it of core alone. Here the whole tree is linked: had any dependency brought std in, there
//! would be two panic handlers and two allocators, and this would not build. It takes from its host what a kernel or a
//! firmware would bring: memory, and a place to write to.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::{string::String, vec::Vec};
use core::{
    alloc::{GlobalAlloc, Layout},
    ffi::{c_int, c_void},
    panic::PanicInfo,
    time::Duration,
};

use gantry_core::{
    Call, Connection, Event, Instant, Limits, Reply,
    driver::{Output, Protocol},
};

/// One request of a version of 2013 and one of 2016, on the same connection.
const REQUESTS: &[u8] =
    b"GET /v1.1/_ping HTTP/1.1\r\nHost: bare\r\n\r\nGET /v1.24/_ping HTTP/1.1\r\nHost: bare\r\n\r\n";

// SAFETY: the only `main` of the program; C's start-up code calls it once.
#[unsafe(no_mangle)]
extern "C" fn main(_argc: c_int, _argv: *const *const u8) -> c_int {
    let answer = serve(REQUESTS);
    print(answer.as_bytes());
    let answered = answer.matches("HTTP/1.1 200 OK\r\n").count();
    if answered == 2 && answer.ends_with("\r\n\r\nOK") {
        0
    } else {
        1
    }
}

/// Everything the core sends in reply to these bytes.
fn serve(mut received: &[u8]) -> String {
    let now = Instant(Duration::ZERO);
    let mut connection = Connection::new(Limits::default(), now);
    let (mut out, mut sent) = ([0; 64], Vec::new());
    loop {
        match connection.poll_output(now, &mut out) {
            Output::Event(Event::Call { id, call: Call::Ping }) => {
                connection.respond(id, Reply::Pong).expect("the call is open");
            }
            Output::Event(event) => panic!("{event:?}"),
            Output::Transmit(len) => sent.extend_from_slice(&out[..len]),
            Output::Splice { .. } => unreachable!("nothing was put into a pipe"),
            Output::Wait(_) if received.is_empty() => break,
            Output::Wait(_) => {
                let taken = connection.handle_input(now, received);
                received = &received[taken..];
            }
            Output::Shutdown | Output::Close => break,
        }
    }
    String::from_utf8(sent).expect("an answer is text")
}

// C's library is this program's host; Rust's std is not here to link it.
#[link(name = "c")]
#[link(name = "gcc_eh")]
unsafe extern "C" {
    safe fn abort() -> !;
    fn aligned_alloc(align: usize, size: usize) -> *mut c_void;
    fn free(memory: *mut c_void);
    fn write(fd: c_int, bytes: *const c_void, len: usize) -> isize;
}

fn print(bytes: &[u8]) {
    // SAFETY: the pointer and the length are those of a slice that outlives the call.
    let _ = unsafe { write(1, bytes.as_ptr().cast(), bytes.len()) };
}

/// The host's memory.
struct Memory;

#[global_allocator]
static MEMORY: Memory = Memory;

// SAFETY: C's allocator gives memory that is aligned as asked, belongs to nobody else, and stays until it is freed.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the alignment of a layout is a power of two; the size is made a multiple of it.
        unsafe { aligned_alloc(layout.align(), layout.pad_to_align().size()).cast() }
    }

    unsafe fn dealloc(&self, memory: *mut u8, _: Layout) {
        // SAFETY: the caller promises that it came from `alloc`.
        unsafe { free(memory.cast()) };
    }
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    print(b"panic\n");
    abort()
}

// The compiled `alloc` names it for unwinding. Nothing unwinds here: the profiles abort.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
