//! Keys of the registry.

use super::Kind::{Count, Flag, Named, Text, Texts};
use super::{FileKeys, Table, Times, key, must};
use crate::data::LAYOUTS;

/// The registry.
pub static REGISTRY: FileKeys = FileKeys {
    name: "registry",
    summary: "where data lie and what their classes are called: datasets.toml, beside a suite or `--registry`",
    tables: &[ENTRY, COLUMNS, SPLIT, ARCHIVE],
    language: "toml",
};

const ENTRY: Table = Table {
    path: "*",
    times: Times::Many,
    summary: "A data set; the table's name is the data set's.",
    keys: &[&[
        must("layout", Named(layouts), "how its files are laid out (`list layouts`)"),
        key("summary", Text, "its name", "a line on what it is"),
        key("licence", Text, "not stated", "its licence"),
        key("origin", Text, "not stated", "where it comes from"),
        key("obtain", Text, "nothing", "how to get it, for messages"),
        key("classes", Text, "the files' own", "a file with the class names in label order, one a line"),
        key("template", Text, "this or `templates`", "a prompt with `{}` for the class"),
        key("templates", Text, "this or `template`", "a file of such prompts"),
        key(
            "folders",
            Text,
            "sorted",
            "order of class folders: `sorted`, `numeric`, or a file that lists them",
        ),
        key(
            "other_folders_left_out",
            Flag,
            "false",
            "whether folders that the file does not list are left out",
        ),
        key("search", Texts, "none", "folders in which an installed package may have put the files"),
        key("border", Count, "0", "pixels that are cut off each side of an image"),
        key("restrict", Text, "none", "a file that says which of the classes there are"),
        key("groups", Text, "none", "a file that says which classes belong together"),
    ]],
    example: "[photos]\nlayout = \"image-folder\"\nclasses = \"photos/classes.txt\"\ntemplate = \"a photo of a {}.\"\n",
};

const COLUMNS: Table = Table {
    path: "*.columns",
    times: Times::AtMostOnce,
    summary: "Names of the columns of a table of examples.",
    keys: &[&[
        key("image", Text, "image", "the image"),
        key("label", Text, "label", "the class"),
        key("id", Text, "none", "the name of the example"),
    ]],
    example: "[photos.columns]\nimage = \"picture\"\nlabel = \"kind\"\n",
};

const SPLIT: Table = Table {
    path: "*.split.*",
    times: Times::Many,
    summary: "A split; the table's last name is the split's.",
    keys: &[&[
        must("files", Texts, "files or folders beside the registry, or `hf:OWNER/NAME/PATH`"),
        key("examples", Count, "not checked", "how many there are; another number is a mistake"),
        key("sha256", Texts, "not checked", "digest of each file"),
    ]],
    example: "[photos.split.test]\nfiles = [\"photos/test\"]\nexamples = 100\n",
};

const ARCHIVE: Table = Table {
    path: "*.archive",
    times: Times::Many,
    summary: "A file that is to be downloaded and unpacked by hand.",
    keys: &[&[
        must("file", Text, "its name"),
        must("url", Text, "where it is"),
        must("bytes", Count, "its size"),
        must("sha256", Text, "its digest"),
    ]],
    example: "[[photos.archive]]\nfile = \"photos.tar\"\nurl = \"https://example.org/photos.tar\"\nbytes = 1000\n\
              sha256 = \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"\n",
};

fn layouts() -> Vec<&'static str> {
    LAYOUTS.names().collect()
}
