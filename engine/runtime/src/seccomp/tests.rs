//! Compiled programs run in an interpreter and must agree with the profile read by hand; some run in the kernel.

use proptest::prelude::*;

use super::assemble::{Block, assemble};
use super::profile::{Action, Architectures, Condition, Content, Filter, Group, Op};
use super::resolve::{Call, Resolved};
use super::syscalls::{self, X32_BIT};
use super::*;
use crate::caps::{Cap, CapSet};

const HERE: Target = Target {
    arch: Arch::X86_64,
    kernel: KernelVersion(6, 1),
};
const ARM64: Target = Target {
    arch: Arch::Aarch64,
    kernel: KernelVersion(6, 1),
};
const EPERM: Action = Action::errno(1);
const ENOSYS: Action = Action::errno(38);

/// A classic BPF machine, as much of it as the kernel allows in seccomp and we use.
fn run(program: &[SockFilter], call: &Call) -> Action {
    let mut data = Vec::new();
    data.extend(call.number.to_le_bytes());
    data.extend(call.audit.to_le_bytes());
    data.extend(0u64.to_le_bytes());
    data.extend(call.args.iter().flat_map(|arg| arg.to_le_bytes()));
    let (mut at, mut acc) = (0, 0u32);
    loop {
        let SockFilter { code, jt, jf, k } = program[at];
        at += 1;
        let wide = usize::try_from(k).unwrap();
        let go = |yes: bool| usize::from(if yes { jt } else { jf });
        match code {
            0x20 => acc = u32::from_le_bytes(data[wide..wide + 4].try_into().unwrap()),
            0x54 => acc &= k,
            0x05 => at += wide,
            0x15 => at += go(acc == k),
            0x25 => at += go(acc > k),
            0x35 => at += go(acc >= k),
            0x06 => return Action(k),
            other => panic!("instruction {other:#x} at {at}"),
        }
    }
}

struct Compiled {
    resolved: Resolved,
    program: Block,
}

impl Compiled {
    fn new(profile: &Profile, caps: CapSet, target: Target) -> Self {
        let resolved = Resolved::new(profile, caps, target).unwrap();
        let program = assemble(&resolved).unwrap();
        Self { resolved, program }
    }

    fn docker(caps: CapSet) -> Self {
        Self::new(&Profile::docker_default(), caps, HERE)
    }

    fn says(&self, arch: Arch, name: &str, args: [u64; 6]) -> Action {
        let number = syscalls::number(arch, name).unwrap();
        self.agree(&Call {
            audit: arch.audit(),
            number,
            args,
        })
    }

    /// The program's verdict, which must be the resolved profile's.
    fn agree(&self, call: &Call) -> Action {
        let verdict = run(&self.program, call);
        assert_eq!(verdict, self.resolved.judge(call), "{call:x?}");
        verdict
    }
}

fn args(first: u64) -> [u64; 6] {
    [first, 0, 0, 0, 0, 0]
}

fn caps(names: &[&str]) -> CapSet {
    names.iter().map(|name| Cap::parse(name).unwrap()).collect()
}

#[test]
fn the_default_profile_names_only_calls_that_exist() {
    let profile = Profile::from_json(include_str!("profile.json")).unwrap();
    assert_eq!(Profile::docker_default(), profile);
    for name in profile.content.groups.iter().flat_map(|group| &group.names) {
        assert!(syscalls::known(name), "{name}");
    }
}

#[test]
fn an_ordinary_container_gets_dockers_answers() {
    let filter = Compiled::docker(CapSet::DEFAULT);
    let native = |name, first| filter.says(Arch::X86_64, name, args(first));
    for name in [
        "read",
        "openat2",
        "execve",
        "ptrace",
        "chroot",
        "arch_prctl",
        "futex_waitv",
    ] {
        assert_eq!(native(name, 0), Action::ALLOW, "{name}");
    }
    for name in [
        "mount",
        "unshare",
        "setns",
        "bpf",
        "keyctl",
        "io_uring_setup",
        "kexec_load",
    ] {
        assert_eq!(native(name, 0), EPERM, "{name}");
    }
    assert_eq!(native("clone3", 0), ENOSYS);
    assert_eq!(native("clone", 0x11), Action::ALLOW);
    for namespace in [
        0x0002_0000,
        0x0400_0000,
        0x0800_0000,
        0x1000_0000,
        0x2000_0000,
        0x4000_0000,
    ] {
        assert_eq!(native("clone", 0x11 | namespace), EPERM, "{namespace:x}");
    }
    // CLONE_NEWTIME shares its bit with the exit signal, and the high half is no namespace.
    assert_eq!(native("clone", 1 << 40 | 0x80), Action::ALLOW);
    for family in 0..64 {
        let expected = if family == 38 || family == 40 {
            EPERM
        } else {
            Action::ALLOW
        };
        assert_eq!(native("socket", family), expected, "family {family}");
    }
    for (persona, expected) in [
        (0, true),
        (8, true),
        (0x20000, true),
        (0x20008, true),
        (u64::from(u32::MAX), true),
    ]
    .into_iter()
    .chain([
        (1, false),
        (0x0004_0000, false),
        (u64::MAX, false),
        (1 << 32, false),
    ]) {
        assert_eq!(
            native("personality", persona) == Action::ALLOW,
            expected,
            "{persona:x}"
        );
    }
}

#[test]
fn capabilities_open_what_they_are_for() {
    let filter = Compiled::docker(CapSet::DEFAULT.union(caps(&["SYS_ADMIN"])));
    for name in ["mount", "unshare", "clone3", "setns", "fsopen"] {
        assert_eq!(
            filter.says(Arch::X86_64, name, args(0)),
            Action::ALLOW,
            "{name}"
        );
    }
    assert_eq!(
        filter.says(Arch::X86_64, "clone", args(0x7e02_0000)),
        Action::ALLOW
    );
    assert_eq!(filter.says(Arch::X86_64, "init_module", args(0)), EPERM);
    let filter = Compiled::docker(caps(&["SYS_MODULE"]));
    assert_eq!(
        filter.says(Arch::X86_64, "init_module", args(0)),
        Action::ALLOW
    );
    assert_eq!(filter.says(Arch::X86_64, "chroot", args(0)), EPERM);
}

#[test]
fn ptrace_waits_for_the_kernel_that_made_it_safe() {
    let old = Target {
        kernel: KernelVersion(4, 7),
        ..HERE
    };
    let filter = Compiled::new(&Profile::docker_default(), CapSet::DEFAULT, old);
    assert_eq!(filter.says(Arch::X86_64, "ptrace", args(0)), EPERM);
}

#[test]
fn younger_calls_do_not_exist() {
    let filter = Compiled::docker(CapSet::DEFAULT);
    for (arch, bit) in [(Arch::X86_64, 0), (Arch::X86, 0), (Arch::X32, X32_BIT)] {
        let ask = |number: u32| {
            filter.agree(&Call {
                audit: arch.audit(),
                number: number | bit,
                args: args(0),
            })
        };
        assert_eq!(ask(466), Action::ALLOW, "removexattrat on {arch:?}");
        assert_eq!(ask(467), ENOSYS, "{arch:?}");
        assert_eq!(ask(900), ENOSYS, "{arch:?}");
    }
}

#[test]
fn each_convention_has_its_own_numbers() {
    let filter = Compiled::docker(CapSet::DEFAULT);
    // 21 is access(2) for 64-bit programs and mount(2) for 32-bit ones.
    assert_eq!(
        filter.agree(&Call {
            audit: Arch::X86_64.audit(),
            number: 21,
            args: args(0)
        }),
        Action::ALLOW
    );
    assert_eq!(
        filter.agree(&Call {
            audit: Arch::X86.audit(),
            number: 21,
            args: args(0)
        }),
        EPERM
    );
    assert_eq!(filter.says(Arch::X32, "mount", args(0)), EPERM);
    assert_eq!(filter.says(Arch::X32, "readv", args(0)), Action::ALLOW);
    let stranger = Call {
        audit: Arch::Aarch64.audit(),
        number: 0,
        args: args(0),
    };
    assert_eq!(filter.agree(&stranger), Action::KILL_PROCESS);

    let arm = Compiled::new(&Profile::docker_default(), CapSet::DEFAULT, ARM64);
    assert_eq!(arm.says(Arch::Aarch64, "openat", args(0)), Action::ALLOW);
    assert_eq!(arm.says(Arch::Arm, "set_tls", args(0)), Action::ALLOW);
    assert_eq!(arm.says(Arch::Arm, "mount", args(0)), EPERM);
}

#[test]
fn every_number_agrees_for_every_architecture() {
    for (target, arches) in [
        (HERE, [Arch::X86_64, Arch::X86, Arch::X32]),
        (ARM64, [Arch::Aarch64, Arch::Arm, Arch::X86]),
    ] {
        for set in [CapSet::EMPTY, CapSet::DEFAULT, CapSet::ALL] {
            let filter = Compiled::new(&Profile::docker_default(), set, target);
            for arch in arches {
                for number in (0..1000)
                    .chain([0x000f_0005, u32::MAX])
                    .flat_map(|n| [n, n ^ X32_BIT])
                {
                    filter.agree(&Call {
                        audit: arch.audit(),
                        number,
                        args: args(0),
                    });
                }
            }
        }
    }
}

#[test]
fn the_program_is_short_and_kept() {
    let profile = Profile::docker_default();
    let program = compile(&profile, CapSet::DEFAULT.bits(), HERE).unwrap();
    assert!(
        program.instructions().len() < 800,
        "{}",
        program.instructions().len()
    );
    assert_eq!(program.to_bytes().len(), program.instructions().len() * 8);
    let again = compile(&profile, CapSet::DEFAULT.bits(), HERE).unwrap();
    assert!(std::ptr::eq(program.instructions(), again.instructions()));
    let other = compile(&profile, CapSet::ALL.bits(), HERE).unwrap();
    assert_ne!(program, other);
}

#[test]
fn custom_profiles_are_read_as_docker_reads_them() {
    let text = r#"{
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_S390X"],
        "syscalls": [
            { "name": "chmod", "action": "SCMP_ACT_ERRNO", "args": null },
            { "names": ["chown"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5, "comment": "why" },
            { "names": ["kill"], "action": "SCMP_ACT_KILL_PROCESS",
              "args": [{ "index": 1, "value": 9, "op": "SCMP_CMP_EQ" }, { "index": 1, "value": 15, "op": "SCMP_CMP_EQ" }] },
            { "names": ["no_such_call"], "action": "SCMP_ACT_TRAP" }
        ]
    }"#;
    let filter = Compiled::new(&Profile::from_json(text).unwrap(), CapSet::EMPTY, HERE);
    assert_eq!(filter.says(Arch::X86_64, "chmod", args(0)), EPERM);
    assert_eq!(
        filter.says(Arch::X86_64, "chown", args(0)),
        Action::errno(5)
    );
    // Two looks at one argument are alternatives.
    for signal in [9, 15] {
        assert_eq!(
            filter.says(Arch::X86_64, "kill", [1, signal, 0, 0, 0, 0]),
            Action::KILL_PROCESS
        );
    }
    assert_eq!(
        filter.says(Arch::X86_64, "kill", [1, 10, 0, 0, 0, 0]),
        Action::ALLOW
    );
    // Where everything is allowed, so is what is new; a convention that is not listed dies.
    assert_eq!(
        filter.agree(&Call {
            audit: Arch::X86_64.audit(),
            number: 900,
            args: args(0)
        }),
        Action::ALLOW
    );
    let foreign = Call {
        audit: Arch::X86.audit(),
        number: 1,
        args: args(0),
    };
    assert_eq!(filter.agree(&foreign), Action::KILL_PROCESS);
}

#[test]
fn an_unconditional_rule_covers_conditional_ones() {
    let text = r#"{ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
        { "names": ["kill"], "action": "SCMP_ACT_TRAP", "args": [{ "index": 1, "value": 9, "op": "SCMP_CMP_EQ" }] },
        { "names": ["kill"], "action": "SCMP_ACT_ALLOW" },
        { "names": ["kill"], "action": "SCMP_ACT_LOG" } ] }"#;
    let filter = Compiled::new(&Profile::from_json(text).unwrap(), CapSet::EMPTY, HERE);
    assert_eq!(
        filter.says(Arch::X86_64, "kill", [1, 9, 0, 0, 0, 0]),
        Action::ALLOW
    );
}

#[test]
fn bad_profiles_are_refused_by_name() {
    let refused = |text: &str| Profile::from_json(text).unwrap_err().to_string();
    assert_eq!(refused("{}"), "the seccomp profile is not valid");
    assert!(refused(r#"{"defaultAction":"SCMP_ACT_MAYBE"}"#).contains("SCMP_ACT_MAYBE"));
    assert!(refused(r#"{"defaultAction":"SCMP_ACT_NOTIFY"}"#).contains("not supported"));
    let both = r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],
        "archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":null}]}"#;
    assert!(refused(both).contains("archMap"));
    let cap = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
        {"names":["kill"],"action":"SCMP_ACT_LOG","excludes":{"caps":["CAP_SYS_ADMN"]}}]}"#;
    assert!(refused(cap).contains("unknown capability"));
    let text = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
        {"names":["kill"],"action":"SCMP_ACT_LOG","args":[{"index":6,"value":0,"op":"SCMP_CMP_EQ"}]}]}"#;
    let error = compile(&Profile::from_json(text).unwrap(), 0, HERE).unwrap_err();
    assert!(error.to_string().contains("argument 6"), "{error}");
}

/// Values around which comparisons change their mind.
fn edgy() -> impl Strategy<Value = u64> {
    let pivots = [
        0,
        1,
        2,
        0x7e02_0000,
        0xffff_ffff,
        1 << 32,
        (1 << 32) + 1,
        5 << 32,
        u64::MAX,
    ];
    prop_oneof![prop::sample::select(pivots.to_vec()), 0u64..8, any::<u64>()]
}

fn condition() -> impl Strategy<Value = Condition> {
    let op = prop::sample::select(vec![
        Op::Ne,
        Op::Lt,
        Op::Le,
        Op::Eq,
        Op::Ge,
        Op::Gt,
        Op::MaskedEq,
    ]);
    (0u32..6, op, edgy(), edgy()).prop_map(|(index, op, value, value_two)| Condition {
        index,
        op,
        value,
        value_two,
    })
}

fn action() -> impl Strategy<Value = Action> {
    let fixed = vec![
        Action::ALLOW,
        Action::LOG,
        Action::TRAP,
        Action::KILL_THREAD,
        Action::KILL_PROCESS,
        EPERM,
    ];
    prop_oneof![
        prop::sample::select(fixed),
        (0u16..4096).prop_map(Action::errno)
    ]
}

fn group() -> impl Strategy<Value = Group> {
    let names = vec![
        "read",
        "write",
        "mount",
        "socket",
        "execve",
        "clone",
        "mmap2",
        "set_tls",
        "removexattrat",
        "ioctl",
    ];
    let names = prop::collection::vec(prop::sample::select(names), 1..5);
    (names, action(), prop::collection::vec(condition(), 0..7)).prop_map(|(names, action, args)| {
        Group {
            names: names.into_iter().map(str::to_owned).collect(),
            action,
            args,
            includes: Filter::default(),
            excludes: Filter::default(),
        }
    })
}

fn profile() -> impl Strategy<Value = Profile> {
    let architectures = prop::sample::subsequence(
        vec!["SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_ARM"],
        0..=3,
    );
    (
        action(),
        architectures,
        prop::collection::vec(group(), 0..12),
    )
        .prop_map(|(default, names, groups)| {
            Profile::from(Content {
                default,
                architectures: Architectures::Listed(
                    names.into_iter().map(str::to_owned).collect(),
                ),
                groups,
            })
        })
}

fn call() -> impl Strategy<Value = Call> {
    let arch = prop::sample::select(vec![
        Arch::X86_64,
        Arch::X86,
        Arch::X32,
        Arch::Aarch64,
        Arch::Arm,
    ]);
    let number = prop_oneof![
        0u32..512,
        (0u32..560).prop_map(|n| n | X32_BIT),
        any::<u32>()
    ];
    let args = prop::array::uniform6(edgy());
    (arch, number, args).prop_map(|(arch, number, args)| Call {
        audit: arch.audit(),
        number,
        args,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_profile_compiles_to_what_it_says(
        profile in profile(),
        native in prop::sample::select(vec![HERE, ARM64]),
        calls in prop::collection::vec(call(), 40),
        named in prop::collection::vec(prop::array::uniform6(edgy()), 8),
    ) {
        let filter = Compiled::new(&profile, CapSet::EMPTY, native);
        for call in &calls {
            filter.agree(call);
        }
        for section in &filter.resolved.sections {
            for (number, args) in section.rules.keys().flat_map(|n| named.iter().map(move |args| (*n, *args))) {
                filter.agree(&Call { audit: section.arch.audit(), number, args });
            }
        }
    }

    #[test]
    fn the_default_profile_agrees_under_any_capabilities(bits in any::<u64>(), calls in prop::collection::vec(call(), 200)) {
        let filter = Compiled::docker(CapSet::from_bits(bits));
        for call in &calls {
            filter.agree(call);
        }
    }

    #[test]
    fn reading_never_panics(text in "[ -~]{0,200}") {
        drop(Profile::from_json(&text));
        let _ = KernelVersion::parse(&text);
    }
}
