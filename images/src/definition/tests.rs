use super::*;

fn parse(text: &str) -> Result<Definition, Diagnostics> {
    Definition::parse(Source::new("image.ron", text))
}

fn kernel(text: &str) -> Result<KernelSource, String> {
    parse(&format!("(kernel: {text})"))
        .map(|definition| definition.kernel)
        .map_err(|errors| errors.render(false))
}

#[test]
fn every_form_of_a_kernel_is_read() {
    let debian = |package: &str, suite: Option<&str>| KernelSource::Debian {
        package: package.to_owned(),
        suite: suite.map(str::to_owned),
    };
    let file = |path: &str, modules: Option<&str>| KernelSource::File {
        path: path.into(),
        modules: modules.map(PathBuf::from),
    };
    let forms = [
        ("Host", KernelSource::Host),
        (r#"File("a")"#, file("a", None)),
        (r#"File(path: "a")"#, file("a", None)),
        (r#"File(path: "a", modules: "b")"#, file("a", Some("b"))),
        (r#"Debian("a")"#, debian("a", None)),
        (r#"Debian(package: "a", suite: None)"#, debian("a", None)),
        (r#"Debian(package: "a", suite: "b")"#, debian("a", Some("b"))),
    ];
    for (text, source) in forms {
        assert_eq!(kernel(text).unwrap(), source);
        let json = serde_json::to_string(&source).unwrap();
        assert_eq!(serde_json::from_str::<KernelSource>(&json).unwrap(), source);
    }
    for bad in [
        "File()",
        "Debian(3)",
        "Other",
        r#"Host("x")"#,
        r#"Debian(suite: "a")"#,
        r#"Debian(package: "a", suite: "-o")"#,
        r#"File(path: "a", modules: "")"#,
    ] {
        assert!(kernel(bad).is_err(), "{bad}");
    }
}

#[test]
fn values_without_names_are_told_their_names() {
    let error = kernel(r#"Debian("linux-image-amd64", "bookworm")"#).unwrap_err();
    assert!(error.contains(r#"expected `Debian(package: "…", suite: "…")`"#), "{error}");
    let error = kernel(r#"File("vmlinuz", "modules")"#).unwrap_err();
    assert!(error.contains(r#"expected `File(path: "…", modules: "…")`"#), "{error}");
}

#[test]
fn every_error_of_a_definition_is_shown_with_its_place() {
    let text = "(\n    kernel: Debain(\"x\"),\n    rootfs: Minimal,\n    colour: 3,\n    \
                modules: [\"a b\"],\n)\n";
    let errors = parse(text).unwrap_err();
    let lines: Vec<usize> = errors.list().iter().map(|error| errors.position(error).0).collect();
    assert_eq!(lines, [2, 4, 5]);
    let shown = errors.render(false);
    for words in ["image.ron:2:13", "did you mean `Debian`?", "^^^^^^", "`colour` is not a field"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(4 << 30).unwrap();
    let error = Definition::read(file.path()).unwrap_err();
    assert!(matches!(error, DefinitionError::Source(SourceError::TooLarge { .. })), "{error}");
}

#[test]
fn the_shipped_definitions_are_proper() {
    for (name, _) in SHIPPED {
        let definition = shipped(name).unwrap();
        assert!(definition.is_ok(), "{}", definition.unwrap_err());
    }
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text: String) {
        let _ = parse(&text);
        let _ = parse(&format!("(kernel: {text}, rootfs: {text})"));
    }
}
