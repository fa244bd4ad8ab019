#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use specbench::{catalog::Catalog, train::*};
fn main() {
    let r = Recipe::open(std::env::args().nth(1).unwrap().as_ref()).unwrap_or_else(|e| panic!("{e}"));
    let c = Catalog::open("datasets.toml".as_ref()).unwrap_or_else(|e| panic!("{e}"));
    let t = std::time::Instant::now();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    pool.install(|| {
    tune(&r, &c, |e| { if let TuneEvent::Step{step, ..} = e { if step % 20 == 0 { eprintln!("{:?} {e:?}", t.elapsed()); } } else { eprintln!("{e:?}") } true }).unwrap_or_else(|e| panic!("{e}"));
    });
}
