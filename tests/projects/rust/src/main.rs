fn main() {
    println!("hello from rust {}", itoa::Buffer::new().format(1));
}
