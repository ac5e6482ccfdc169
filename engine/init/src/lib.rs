#![no_std]
//! What runs between clone and exec.
