fn main() {
    let mut a = std::env::args().skip(1);
    let source = a.next().unwrap().into();
    let out: std::path::PathBuf = a.next().unwrap().into();
    let train = a.next().map(Into::into);
    let s = specbench::emoji::build(&specbench::emoji::BuildOptions{source, out, train_out: train, train_views: 24, concepts: 400, side: 32, seed: 0}, |f| println!("{} {} {}", f.path.display(), f.examples, f.bytes)).unwrap();
    println!("{} {}", s.concepts.len(), s.files.iter().map(|f| f.bytes).sum::<u64>());
}
