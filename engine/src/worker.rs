//! Threads for work that blocks: unpacking, starting, committing.
//!
//! The engine itself runs on the reactor thread and must not wait. It hands a job to a pool and gets a message when the
//! job is done. A pool grows on demand to a fixed number of threads, which end again when they have been idle for a
//! while; jobs beyond that wait in a queue, first come, first served.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// A pool of threads.
#[derive(Clone)]
pub(crate) struct Workers {
    shared: Arc<Shared>,
}

struct Shared {
    name: &'static str,
    threads_max: usize,
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
}

type Job = Box<dyn FnOnce() + Send>;

impl Workers {
    /// A pool of at most `threads_max` threads, each called `name`. None is started yet.
    pub(crate) fn new(name: &'static str, threads_max: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                name,
                threads_max,
                state: Mutex::default(),
                work: Condvar::new(),
            }),
        }
    }

    /// Runs `work` on a thread of the pool; when it panics, `panicked` runs instead of its rest.
    pub(crate) fn run(&self, work: impl FnOnce() + Send + 'static, panicked: impl FnOnce() + Send + 'static) {
        let job = Box::new(move || {
            if catch_unwind(AssertUnwindSafe(work)).is_err() {
                panicked();
            }
        });
        let mut state = self.shared.lock();
        state.jobs.push_back(job);
        if state.idle < state.jobs.len() && state.threads < self.shared.threads_max {
            let shared = Arc::clone(&self.shared);
            let spawned = thread::Builder::new()
                .name(self.shared.name.to_owned())
                .stack_size(STACK_BYTES)
                .spawn(move || shared.serve());
            match spawned {
                Ok(_) => state.threads += 1,
                // Without any thread the job would wait for ever; its owner is told instead.
                Err(_) if state.threads == 0 => {
                    if let Some(job) = state.jobs.pop_back() {
                        drop(state);
                        job();
                    }
                    return;
                }
                Err(_) => {}
            }
        }
        drop(state);
        self.shared.work.notify_one();
    }
}

impl Shared {
    fn serve(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                job();
                state = self.lock();
                continue;
            }
            state.idle += 1;
            let (next, waited) = self
                .work
                .wait_timeout(state, IDLE_TIMEOUT)
                .unwrap_or_else(PoisonError::into_inner);
            state = next;
            state.idle -= 1;
            if waited.timed_out() && state.jobs.is_empty() {
                state.threads -= 1;
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Jobs run outside the lock, so a panic cannot leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Unpacking and the store need some; nothing here recurses on outside data.
const STACK_BYTES: usize = 512 * 1024;
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn runs_at_most_so_many_at_once() {
        let pool = Workers::new("test", 3);
        let (tell, told) = mpsc::channel();
        let running = Arc::new(Mutex::new((0, 0)));
        for _ in 0..64 {
            let (tell, running) = (tell.clone(), Arc::clone(&running));
            pool.run(
                move || {
                    let mut count = running.lock().unwrap();
                    count.0 += 1;
                    count.1 = count.1.max(count.0);
                    drop(count);
                    thread::yield_now();
                    running.lock().unwrap().0 -= 1;
                    tell.send(()).unwrap();
                },
                || unreachable!("no job panics"),
            );
        }
        assert_eq!(told.iter().take(64).count(), 64);
        assert!((1..=3).contains(&running.lock().unwrap().1));
    }

    #[test]
    fn a_panic_is_told_and_the_pool_lives() {
        let pool = Workers::new("test", 1);
        let (tell, told) = mpsc::channel();
        let panic_tell = tell.clone();
        pool.run(
            || std::panic::resume_unwind(Box::new("job")),
            move || panic_tell.send("panicked").unwrap(),
        );
        assert_eq!(told.recv(), Ok("panicked"));
        pool.run(move || tell.send("works").unwrap(), || {});
        assert_eq!(told.recv(), Ok("works"));
    }
}
