//! What a limit means, before any file: Docker's rules for memory and swap.

use oci_spec::runtime::LinuxMemory;

use super::CgroupError;

/// The limit of memory and swap together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MemorySwap {
    Total(i64),
    Unlimited,
}

/// Bytes, or -1 for none; zero is no wish.
pub(super) fn memory_limit(memory: &LinuxMemory) -> Option<i64> {
    memory
        .limit()
        .filter(|bytes| *bytes != 0)
        .map(|bytes| bytes.max(-1))
}

/// Unset, a memory limit brings as much swap again.
pub(super) fn memory_swap(memory: &LinuxMemory) -> Result<Option<MemorySwap>, CgroupError> {
    let limit = memory_limit(memory);
    let swap = memory.swap().filter(|bytes| *bytes != 0);
    match (limit, swap) {
        (None, None) => Ok(None),
        (Some(..0), None) | (_, Some(..0)) => Ok(Some(MemorySwap::Unlimited)),
        (Some(limit), None) => Ok(Some(MemorySwap::Total(limit.saturating_mul(2)))),
        (Some(limit @ 0..), Some(total)) if total >= limit => Ok(Some(MemorySwap::Total(total))),
        (Some(limit @ 0..), Some(total)) => Err(CgroupError::Invalid(format!(
            "the limit of memory and swap together ({total}) is below that of memory ({limit})"
        ))),
        (_, Some(_)) => Err(CgroupError::Invalid(
            "a swap limit needs a memory limit beside it".to_owned(),
        )),
    }
}

/// `2MB`, `1GB`: part of a file's name, so nothing else may be in it.
pub(super) fn page_size(size: &str) -> Result<&str, CgroupError> {
    let plain = !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plain
        .then_some(size)
        .ok_or_else(|| CgroupError::Invalid(format!("`{size}` is no huge page size")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::LinuxMemoryBuilder;

    fn swap(limit: i64, swap: i64) -> Result<Option<MemorySwap>, CgroupError> {
        memory_swap(
            &LinuxMemoryBuilder::default()
                .limit(limit)
                .swap(swap)
                .build()
                .unwrap(),
        )
    }

    #[test]
    fn swap_follows_dockers_rules() {
        assert_eq!(swap(0, 0).unwrap(), None);
        assert_eq!(swap(100, 0).unwrap(), Some(MemorySwap::Total(200)));
        assert_eq!(swap(100, 100).unwrap(), Some(MemorySwap::Total(100)));
        assert_eq!(swap(100, -1).unwrap(), Some(MemorySwap::Unlimited));
        assert_eq!(swap(-1, 0).unwrap(), Some(MemorySwap::Unlimited));
        assert_eq!(
            swap(i64::MAX, 0).unwrap(),
            Some(MemorySwap::Total(i64::MAX))
        );
        assert!(swap(100, 99).is_err());
        assert!(swap(0, 99).is_err());
        assert!(swap(-1, 99).is_err());
    }
}
