//! Device rules: a list as it is written, what it adds up to, and both kernels' ways to enforce it.

use std::collections::BTreeMap;
use std::os::fd::AsFd;

use bowline_sys::bpf::{self, Insn};
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};
use std::path::Path;

use super::{CgroupError, files};

/// One rule in the order given; a later one wins over an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    allow: bool,
    /// `None`: every device of every kind. The kernel then looks at nothing else.
    what: Option<Device>,
    access: Access,
}

/// Which devices. `None` stands for any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Device {
    kind: Kind,
    major: Option<u32>,
    minor: Option<u32>,
}

/// With the numbers that `bpf_cgroup_dev_ctx` uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Block = 1,
    Char = 2,
}

/// A set of mknod (1), read (2), write (4), as `bpf_cgroup_dev_ctx` numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Access(u8);

impl Access {
    const FULL: Self = Self(7);

    fn parse(text: Option<&str>) -> Result<Self, CgroupError> {
        let mut bits = 0;
        for letter in text.unwrap_or("rwm").chars() {
            bits |= match letter {
                'm' => 1,
                'r' => 2,
                'w' => 4,
                _ => return Err(invalid(&format!("access `{letter}`"))),
            };
        }
        Ok(if bits == 0 { Self::FULL } else { Self(bits) })
    }

    fn letters(self) -> String {
        [(2, 'r'), (4, 'w'), (1, 'm')]
            .iter()
            .filter(|(bit, _)| self.0 & bit != 0)
            .map(|(_, c)| c)
            .collect()
    }
}

fn invalid(what: &str) -> CgroupError {
    CgroupError::Invalid(format!("a device rule has the {what}"))
}

/// Reads OCI's rules.
pub(super) fn rules(list: &[LinuxDeviceCgroup]) -> Result<Vec<Rule>, CgroupError> {
    list.iter().map(rule).collect()
}

fn rule(rule: &LinuxDeviceCgroup) -> Result<Rule, CgroupError> {
    let number = |number: Option<i64>| match number {
        None | Some(..0) => Ok(None),
        Some(number) => u32::try_from(number)
            .map(Some)
            .map_err(|_| invalid(&format!("number {number}"))),
    };
    let kind = match rule.typ().unwrap_or(LinuxDeviceType::A) {
        LinuxDeviceType::A => None,
        LinuxDeviceType::B => Some(Kind::Block),
        LinuxDeviceType::C | LinuxDeviceType::U => Some(Kind::Char),
        LinuxDeviceType::P => return Err(invalid("type `p`, but a pipe is no device")),
    };
    let (major, minor) = (number(rule.major())?, number(rule.minor())?);
    Ok(Rule {
        allow: rule.allow(),
        what: kind.map(|kind| Device { kind, major, minor }),
        access: Access::parse(rule.access().as_deref())?,
    })
}

/// Writes the rules one by one, as v1 wants them.
pub(super) fn apply_v1(dir: &Path, rules: &[Rule]) -> Result<(), CgroupError> {
    for rule in rules {
        let file = if rule.allow {
            "devices.allow"
        } else {
            "devices.deny"
        };
        files::write(&dir.join(file), &line(rule))?;
    }
    Ok(())
}

fn line(rule: &Rule) -> String {
    let Some(Device { kind, major, minor }) = rule.what else {
        return "a".to_owned();
    };
    let letter = if kind == Kind::Block { 'b' } else { 'c' };
    let number =
        |number: Option<u32>| number.map_or_else(|| "*".to_owned(), |number| number.to_string());
    format!(
        "{letter} {}:{} {}",
        number(major),
        number(minor),
        rule.access.letters()
    )
}

/// Loads the rules as a program and attaches it, in the place of the one from before if there is one.
pub(super) fn apply_v2(dir: &Path, rules: &[Rule]) -> Result<(), CgroupError> {
    let failed = |source| CgroupError::Devices {
        path: dir.into(),
        source,
    };
    let cgroup = open(dir, OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(|errno| failed(errno.into()))?;
    let program = bpf::load_device_program(&program(&Policy::new(rules))).map_err(failed)?;
    let attached = bpf::device_programs(&cgroup).map_err(failed)?;
    match attached.first() {
        None => bpf::attach_device_program(&cgroup, &program),
        Some(old) => bpf::replace_device_program(&cgroup, &program, old.as_fd()),
    }
    .map_err(failed)
}

/// What a list adds up to: a default, and exceptions to it. The kernel's v1 controller keeps just that, and v2 must
/// come to the same answers.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Policy {
    allow: bool,
    except: BTreeMap<Device, Access>,
}

impl Policy {
    fn new(rules: &[Rule]) -> Self {
        let mut policy = Self {
            allow: true,
            except: BTreeMap::new(),
        };
        for rule in rules {
            policy.add(rule);
        }
        policy
    }

    fn add(&mut self, rule: &Rule) {
        let Some(device) = rule.what else {
            *self = Self {
                allow: rule.allow,
                except: BTreeMap::new(),
            };
            return;
        };
        let present = self.except.entry(device).or_insert(Access(0));
        if rule.allow == self.allow {
            present.0 &= !rule.access.0;
        } else {
            present.0 |= rule.access.0;
        }
        if present.0 == 0 {
            self.except.remove(&device);
        }
    }
}

// Registers: r0 answer, r1 context then scratch, r2 kind, r3 access, r4 major, r5 minor.
const LOAD_WORD: u8 = 0x61;
const AND: u8 = 0x54;
const SHIFT_RIGHT: u8 = 0x74;
const MOVE: u8 = 0xbc;
const MOVE_IMMEDIATE: u8 = 0xb7;
const JUMP_UNLESS_EQUAL: u8 = 0x56;
const JUMP_UNLESS_SAME: u8 = 0x5e;
const JUMP_IF_EQUAL: u8 = 0x16;
const EXIT: u8 = 0x95;

/// A program that answers 1 (allowed) or 0. Each exception is tried in turn; the default comes last.
fn program(policy: &Policy) -> Vec<Insn> {
    let mut program = vec![
        insn(LOAD_WORD, 2, 1, 0, 0),
        insn(AND, 2, 0, 0, 0xffff),
        insn(LOAD_WORD, 3, 1, 0, 0),
        insn(SHIFT_RIGHT, 3, 0, 0, 16),
        insn(LOAD_WORD, 4, 1, 4, 0),
        insn(LOAD_WORD, 5, 1, 8, 0),
    ];
    for (device, access) in &policy.except {
        program.extend(exception(*device, *access, policy.allow));
    }
    program.extend(answer(policy.allow));
    program
}

fn answer(allow: bool) -> [Insn; 2] {
    [
        insn(MOVE_IMMEDIATE, 0, 0, 0, i32::from(allow)),
        insn(EXIT, 0, 0, 0, 0),
    ]
}

/// An exception to a denial holds for requests it covers wholly; one to a permission, for requests it touches at all.
fn exception(device: Device, access: Access, allow: bool) -> Vec<Insn> {
    let mut tests: Vec<Vec<Insn>> = Vec::new();
    let mut equal = |register, value: u32| {
        tests.push(vec![insn(
            JUMP_UNLESS_EQUAL,
            register,
            0,
            0,
            value.cast_signed(),
        )]);
    };
    equal(2, if device.kind == Kind::Block { 1 } else { 2 });
    if let Some(major) = device.major {
        equal(4, major);
    }
    if let Some(minor) = device.minor {
        equal(5, minor);
    }
    if access != Access::FULL {
        let masked = [
            insn(MOVE, 1, 3, 0, 0),
            insn(AND, 1, 0, 0, i32::from(access.0)),
        ];
        let compare = if allow {
            insn(JUMP_IF_EQUAL, 1, 0, 0, 0)
        } else {
            insn(JUMP_UNLESS_SAME, 1, 3, 0, 0)
        };
        tests.push([&masked[..], &[compare]].concat());
    }
    let mut block = answer(!allow).to_vec();
    for mut test in tests.into_iter().rev() {
        // A failed test jumps over what was put together so far, to the next exception. Blocks are a dozen long.
        if let Some(last) = test.last_mut() {
            last.off = i16::try_from(block.len()).unwrap_or(i16::MAX);
        }
        test.extend(block);
        block = test;
    }
    block
}

fn insn(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> Insn {
    Insn {
        code,
        regs: src << 4 | dst,
        off,
        imm,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::LinuxDeviceCgroupBuilder;
    use proptest::prelude::*;

    fn parse(text: &str) -> Rule {
        let words: Vec<&str> = text.split(' ').collect();
        let number = |text: &str| text.parse().ok();
        let what = (words[1] != "a").then(|| {
            let (major, minor) = words[2].split_once(':').unwrap();
            let kind = if words[1] == "b" {
                Kind::Block
            } else {
                Kind::Char
            };
            Device {
                kind,
                major: number(major),
                minor: number(minor),
            }
        });
        Rule {
            allow: words[0] == "allow",
            what,
            access: Access::parse(words.get(3).copied()).unwrap(),
        }
    }

    fn policy(rules: &[&str]) -> Policy {
        Policy::new(&rules.iter().map(|rule| parse(rule)).collect::<Vec<_>>())
    }

    #[derive(Clone, Copy, Debug)]
    struct Request {
        kind: Kind,
        access: u8,
        major: u32,
        minor: u32,
    }

    /// The v1 controller's rule, read off its source.
    fn judge(policy: &Policy, request: Request) -> bool {
        let fits = |own: Option<u32>, asked| own.is_none_or(|own| own == asked);
        let hit = policy.except.iter().any(|(device, access)| {
            device.kind == request.kind
                && fits(device.major, request.major)
                && fits(device.minor, request.minor)
                && if policy.allow {
                    access.0 & request.access != 0
                } else {
                    access.0 & request.access == request.access
                }
        });
        policy.allow != hit
    }

    fn run(program: &[Insn], request: Request) -> bool {
        let context = [
            (u32::from(request.access) << 16) | request.kind as u32,
            request.major,
            request.minor,
        ];
        let mut r = [0u32; 6];
        let mut at = 0i64;
        loop {
            let Insn {
                code,
                regs,
                off,
                imm,
            } = program[usize::try_from(at).unwrap()];
            let (dst, src) = (usize::from(regs & 15), usize::from(regs >> 4));
            let imm = imm.cast_unsigned();
            at += 1;
            let mut jump = |yes: bool| at += if yes { i64::from(off) } else { 0 };
            match code {
                LOAD_WORD => r[dst] = context[usize::try_from(off).unwrap() / 4],
                AND => r[dst] &= imm,
                SHIFT_RIGHT => r[dst] >>= imm,
                MOVE => r[dst] = r[src],
                MOVE_IMMEDIATE => r[dst] = imm,
                JUMP_UNLESS_EQUAL => jump(r[dst] != imm),
                JUMP_UNLESS_SAME => jump(r[dst] != r[src]),
                JUMP_IF_EQUAL => jump(r[dst] == imm),
                EXIT => return r[0] == 1,
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    const NULL: Request = Request {
        kind: Kind::Char,
        access: 6,
        major: 1,
        minor: 3,
    };

    #[test]
    fn the_usual_list_allows_what_it_names() {
        let usual = policy(&[
            "deny a",
            "allow c 1:3 rwm",
            "allow c 136:* rw",
            "allow c *:* m",
            "deny c 10:229 rwm",
        ]);
        let asks = |kind, access, major, minor| {
            run(
                &program(&usual),
                Request {
                    kind,
                    access,
                    major,
                    minor,
                },
            )
        };
        assert!(asks(Kind::Char, 6, 1, 3), "open null");
        assert!(asks(Kind::Char, 6, 136, 7), "open a terminal");
        assert!(asks(Kind::Char, 1, 200, 1), "make any node");
        assert!(!asks(Kind::Char, 3, 200, 1), "but not read it");
        assert!(!asks(Kind::Block, 2, 1, 3));
        assert!(!asks(Kind::Char, 4, 10, 229));
    }

    #[test]
    fn later_rules_win() {
        assert!(run(&program(&policy(&["deny a", "allow a"])), NULL));
        assert!(!run(&program(&policy(&["allow a", "deny c 1:3 w"])), NULL));
        let read_only = policy(&["deny a", "allow c 1:3 rw", "deny c 1:3 w"]);
        assert!(!run(&program(&read_only), NULL));
        assert!(run(&program(&read_only), Request { access: 2, ..NULL }));
    }

    #[test]
    fn lines_read_as_v1_wants_them() {
        for text in ["allow c 1:3 rwm", "deny b *:7 rw", "allow c 5:* m"] {
            assert_eq!(line(&parse(text)), text.split_once(' ').unwrap().1);
        }
        assert_eq!(line(&parse("deny a")), "a");
    }

    #[test]
    fn oci_rules_are_read() {
        let build = |kind, major, access: &str| {
            let rule = LinuxDeviceCgroupBuilder::default()
                .allow(true)
                .typ(kind)
                .major(major)
                .access(access);
            rules(&[rule.build().unwrap()])
        };
        assert_eq!(
            build(LinuxDeviceType::C, 7i64, "r").unwrap(),
            [parse("allow c 7:* r")]
        );
        assert_eq!(
            build(LinuxDeviceType::B, -1i64, "").unwrap(),
            [parse("allow b *:* rwm")]
        );
        assert!(build(LinuxDeviceType::C, 1i64 << 40, "r").is_err());
        assert!(
            build(LinuxDeviceType::C, 1i64, "x")
                .unwrap_err()
                .to_string()
                .contains("access `x`")
        );
        assert!(build(LinuxDeviceType::P, 1i64, "r").is_err());
    }

    fn any_rule() -> impl Strategy<Value = Rule> {
        let number = || prop::option::of(0u32..3);
        let kind = prop_oneof![Just(Kind::Block), Just(Kind::Char)];
        let device = (kind, number(), number()).prop_map(|(kind, major, minor)| Device {
            kind,
            major,
            minor,
        });
        (any::<bool>(), prop::option::weighted(0.9, device), 1u8..8).prop_map(
            |(allow, what, access)| Rule {
                allow,
                what,
                access: Access(access),
            },
        )
    }

    proptest! {
        #[test]
        fn programs_answer_as_the_v1_controller_does(rules in prop::collection::vec(any_rule(), 0..12)) {
            let policy = Policy::new(&rules);
            let program = program(&policy);
            for kind in [Kind::Block, Kind::Char] {
                for (access, major, minor) in (1..8).flat_map(|a| (0..4).flat_map(move |x| (0..4).map(move |y| (a, x, y)))) {
                    let request = Request { kind, access, major, minor };
                    prop_assert_eq!(run(&program, request), judge(&policy, request), "{:?}", request);
                }
            }
        }
    }
}
