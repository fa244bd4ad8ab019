//! Class spaces end to end: a restriction is a head with only those rows, a group is the largest of its
//! members' logits.

use specbench::base::table::Table;
use specbench::store::Predictions;

use crate::support::{Bench, root, specbench};

/// Four classes of the emoji set, as indices into its 400.
const CHOSEN: [usize; 4] = [3, 40, 41, 199];

/// A registry with the embedded data under three class spaces, and a suite over it.
fn bench() -> Bench {
    let bench = Bench::new("");
    let names = std::fs::read_to_string(root().join("suites/emoji/classes.txt")).unwrap();
    let names: Vec<&str> = names.lines().collect();
    let lines = |list: Vec<String>| list.join("\n") + "\n";
    let write = |name: &str, text: String| std::fs::write(bench.out(name), text).unwrap();
    write("all.txt", lines(names.iter().map(|n| (*n).to_owned()).collect()));
    write("four.txt", lines(CHOSEN.iter().map(|&i| names[i].to_owned()).collect()));
    write("restrict.txt", lines(CHOSEN.iter().map(usize::to_string).collect()));
    write("groups.txt", "one: 3 41\ntwo: 40\nthree: 199\n".to_owned());
    write("templates.txt", "a drawing of a {}.\n".to_owned());

    // The chosen classes alone: with their labels in the 400, among the four, and among the groups.
    let table = Table::read(&root().join("suites/emoji/noto-test.parquet"), None, None).unwrap();
    let (ids, labels, images) =
        (table.strings("id").unwrap(), table.u32s("label").unwrap(), table.bytes("image").unwrap());
    let rows: Vec<usize> = (0..ids.len()).filter(|&i| CHOSEN.contains(&(labels[i] as usize))).collect();
    assert_eq!(rows.len(), 12);
    let place = |label: u32| CHOSEN.iter().position(|&c| c == label as usize).unwrap() as u32;
    for (name, relabel) in [
        ("wide", &(|l| l) as &dyn Fn(u32) -> u32),
        ("narrow", &place),
        ("grouped", &|l| [0, 1, 0, 2][place(l) as usize]),
    ] {
        let mut part = Table::new(rows.len());
        part.push_strings("id", rows.iter().map(|&i| ids[i].clone()).collect()).unwrap();
        part.push_u32("label", rows.iter().map(|&i| relabel(labels[i])).collect()).unwrap();
        part.push_bytes("image", &rows.iter().map(|&i| images[i].clone()).collect::<Vec<_>>()).unwrap();
        part.write(&bench.out(&format!("{name}.parquet"))).unwrap();
    }
    let entry = |name: &str, file: &str, classes: &str, extra: &str| {
        format!(
            "[{name}]\nsummary = \"x\"\nlayout = \"parquet\"\nlicence = \"x\"\norigin = \"x\"\nclasses = \"{classes}\"\n\
             templates = \"templates.txt\"\n{extra}\n[{name}.split.test]\nfiles = [\"{file}.parquet\"]\n"
        )
    };
    write(
        "datasets.toml",
        entry("restricted", "wide", "all.txt", "restrict = \"restrict.txt\"")
            + &entry("narrow", "narrow", "four.txt", "")
            + &entry("grouped", "grouped", "all.txt", "groups = \"groups.txt\"")
            + &entry("cut", "narrow", "four.txt", "border = 2"),
    );
    let mut suite = "[suite]\nname = \"s\"\n[[checkpoint]]\nid = \"m\"\nrole = \"pretrained\"\nsource = \"suites/demo/zero-shot\"\n".to_owned();
    for name in ["restricted", "narrow", "grouped", "cut"] {
        suite += &format!("[[probe]]\nid = \"{name}\"\ndataset = \"{name}\"\nrole = \"generality\"\n");
    }
    std::fs::write(bench.suite(), suite).unwrap();
    bench
}

#[test]
fn restrictions_and_groups_follow_the_logits() {
    let bench = bench();
    let registry = bench.out("datasets.toml").display().to_string();
    bench.run("out", &["--registry", &registry]).assert().success();
    let read = |probe: &str| Predictions::read(&Predictions::path(&bench.out("out"), "m", probe)).unwrap();
    let (restricted, narrow, grouped) = (read("restricted"), read("narrow"), read("grouped"));
    assert_eq!(restricted, narrow);

    // By hand from the four logits: group 0 is classes 0 and 2, group 1 is class 1, group 2 is class 3.
    for i in 0..narrow.label.len() {
        let mut logits = [0.0f32; 4];
        for (class, logit) in narrow.top_classes[i * 4..].iter().zip(&narrow.top_logits[i * 4..]).take(4) {
            logits[*class as usize] = *logit;
        }
        let expected = [logits[0].max(logits[2]), logits[1], logits[3]];
        for (class, logit) in grouped.top_classes[i * 3..].iter().zip(&grouped.top_logits[i * 3..]).take(3) {
            assert_eq!(*logit, expected[*class as usize], "example {i}");
        }
    }
    assert_ne!(read("cut").top_logits, narrow.top_logits, "the border was not cut off");
}

#[test]
fn the_imagenet_suite_says_what_is_missing() {
    // A copy of the registry elsewhere: whoever has the data has them beside the original.
    let bench = Bench::new("");
    let text = std::fs::read_to_string(root().join("datasets.toml")).unwrap();
    std::fs::write(
        bench.out("datasets.toml"),
        text.replace("\"suites/", &format!("\"{}/suites/", root().display())),
    )
    .unwrap();
    let registry = bench.out("datasets.toml");
    let output =
        specbench().args(["plan", "suites/clip_ood.toml", "--registry"]).arg(registry).assert().code(4);
    let log = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
    for name in
        ["imagenet", "imagenet-v2", "imagenet-r", "imagenet-sketch", "objectnet-113-maxmap", "imagenet-a"]
    {
        assert!(log.contains(&format!("data set `{name}` is missing")), "{log}");
    }
}
