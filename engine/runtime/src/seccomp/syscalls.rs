//! Names and numbers of system calls, from the kernel's own tables (`syscalls.tsv`).

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::LazyLock;

use super::Arch;

/// Bit 30 marks a call as x32.
pub(super) const X32_BIT: u32 = 0x4000_0000;

/// ARM's private calls (`set_tls` and friends) are numbered far above all others.
const FIRST_PRIVATE: u32 = 0x000f_0000;

/// Calls that x32 numbers apart from x86-64, by an old mistake.
const X32_ODD: RangeInclusive<u32> = 512..=547;

/// The number of `name` on `arch` as it appears in `seccomp_data.nr`, if it has such a call.
pub(super) fn number(arch: Arch, name: &str) -> Option<u32> {
    TABLE.get(name)?[column(arch)]
}

/// Does any architecture of the table have this call?
#[cfg(test)]
pub(super) fn known(name: &str) -> bool {
    TABLE.contains_key(name)
}

/// Is the number outside the row in which the kernel numbers new calls, so that it says nothing about age?
pub(super) fn is_private(number: u32) -> bool {
    (FIRST_PRIVATE..X32_BIT).contains(&number) || X32_ODD.contains(&(number ^ X32_BIT))
}

type Numbers = [Option<u32>; 5];

static TABLE: LazyLock<HashMap<&'static str, Numbers>> = LazyLock::new(|| {
    include_str!("syscalls.tsv")
        .lines()
        .filter_map(row)
        .collect()
});

fn row(line: &'static str) -> Option<(&'static str, Numbers)> {
    let mut cells = line.split('\t');
    let name = cells.next().filter(|name| !name.starts_with('#'))?;
    let mut numbers = [None; 5];
    for (number, cell) in numbers.iter_mut().zip(cells) {
        *number = cell.parse().ok();
    }
    numbers[column(Arch::X32)] = numbers[column(Arch::X32)].map(|number: u32| number | X32_BIT);
    Some((name, numbers))
}

fn column(arch: Arch) -> usize {
    match arch {
        Arch::X86_64 => 0,
        Arch::X86 => 1,
        Arch::X32 => 2,
        Arch::Aarch64 => 3,
        Arch::Arm => 4,
    }
}
