//! Classic BPF as far as a seccomp filter needs it, and an interpreter to test what was made of it.
//!
//! Source: `<linux/bpf_common.h>`, `<linux/filter.h>`.

/// `struct sock_filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instruction {
    code: u16,
    /// How many instructions to skip if true.
    jump_true: u8,
    /// How many if false.
    jump_false: u8,
    value: u32,
}

impl Instruction {
    pub(super) fn encode(self) -> [u8; 8] {
        let ([a, b], [c, d, e, f]) = (self.code.to_ne_bytes(), self.value.to_ne_bytes());
        [a, b, self.jump_true, self.jump_false, c, d, e, f]
    }
}

/// Loads 32 bits of `struct seccomp_data` into the accumulator.
pub(super) const fn load(offset: u32) -> Instruction {
    Instruction {
        code: LOAD_WORD,
        jump_true: 0,
        jump_false: 0,
        value: offset,
    }
}

/// Ends the filter with this action.
pub(super) const fn give(action: u32) -> Instruction {
    Instruction {
        code: RETURN,
        jump_true: 0,
        jump_false: 0,
        value: action,
    }
}

/// Compares the accumulator with `value`: `yes` if true, `no` if not. Both must end in [`give`] on every way.
pub(super) fn choose(comparison: u16, value: u32, yes: Vec<Instruction>, no: Vec<Instruction>) -> Vec<Instruction> {
    let mut program = Vec::with_capacity(yes.len() + no.len() + 2);
    match u8::try_from(no.len()) {
        Ok(jump_true) => program.push(Instruction {
            code: comparison,
            jump_true,
            jump_false: 0,
            value,
        }),
        // A conditional jump reaches 255 instructions: a plain one goes further.
        Err(_) => {
            program.push(Instruction {
                code: comparison,
                jump_true: 0,
                jump_false: 1,
                value,
            });
            let distance = no.len() as u32;
            program.push(Instruction {
                code: JUMP,
                jump_true: 0,
                jump_false: 0,
                value: distance,
            });
        }
    }
    program.extend(no);
    program.extend(yes);
    program
}

/// `BPF_JMP | BPF_JEQ | BPF_K`.
pub(super) const JUMP_EQUAL: u16 = 0x15;
/// `BPF_JMP | BPF_JGE | BPF_K`.
pub(super) const JUMP_GREATER_EQUAL: u16 = 0x35;
/// `BPF_JMP | BPF_JSET | BPF_K`.
pub(super) const JUMP_ANY_BIT: u16 = 0x45;
/// `BPF_MAXINSNS`.
pub(super) const INSTRUCTIONS_MAX: usize = 4096;

/// `BPF_LD | BPF_W | BPF_ABS`.
const LOAD_WORD: u16 = 0x20;
/// `BPF_JMP | BPF_JA`.
const JUMP: u16 = 0x05;
/// `BPF_RET | BPF_K`.
const RETURN: u16 = 0x06;

/// Runs a filter on `struct seccomp_data`: the action.
#[cfg(test)]
pub(super) fn interpret(filter: &[u8], data: &[u8; 64]) -> u32 {
    trace(filter, data).0
}

/// How many instructions a filter runs for this call without arguments.
#[cfg(test)]
pub(super) fn steps(filter: &[u8], number: u32, architecture: u32) -> usize {
    let mut data = [0; 64];
    data[0..4].copy_from_slice(&number.to_ne_bytes());
    data[4..8].copy_from_slice(&architecture.to_ne_bytes());
    trace(filter, &data).1
}

#[cfg(test)]
fn trace(filter: &[u8], data: &[u8; 64]) -> (u32, usize) {
    let (mut at, mut accumulator, mut steps) = (0, 0, 0);
    loop {
        let code = &filter[at * 8..at * 8 + 8];
        let value = u32::from_ne_bytes(code[4..8].try_into().unwrap());
        let (jump_true, jump_false) = (usize::from(code[2]), usize::from(code[3]));
        at += 1;
        steps += 1;
        let jump = |condition| if condition { jump_true } else { jump_false };
        match u16::from_ne_bytes([code[0], code[1]]) {
            0x20 => accumulator = u32::from_ne_bytes(data[value as usize..value as usize + 4].try_into().unwrap()),
            0x05 => at += value as usize,
            0x06 => return (value, steps),
            0x15 => at += jump(accumulator == value),
            0x35 => at += jump(accumulator >= value),
            0x45 => at += jump(accumulator & value != 0),
            other => panic!("instruction {other:#x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_branch_is_reached() {
        for length in [1, 254, 255, 256, 1000] {
            let no = vec![give(1); length];
            let program = [vec![load(0)], choose(JUMP_EQUAL, 7, vec![give(2)], no)].concat();
            let bytes: Vec<u8> = program.iter().flat_map(|instruction| instruction.encode()).collect();
            for (number, expected) in [(7u32, 2), (8, 1)] {
                let mut data = [0; 64];
                data[0..4].copy_from_slice(&number.to_ne_bytes());
                assert_eq!(
                    interpret(&bytes, &data),
                    expected,
                    "{length} instructions, call {number}"
                );
            }
        }
    }
}
