# Everything that has to be set up or run. `make demo` shows the main job; `make test` is what CI runs.

TARGET := x86_64-unknown-linux-gnu
BUILT := target/$(TARGET)
# Static with glibc: the programs run in initramfs archives and on hosts of any age.
STATIC := RUSTFLAGS="-C target-feature=+crt-static"

.PHONY: programs
programs:
	$(STATIC) cargo build --quiet --release --target $(TARGET) -p partitiond
	$(STATIC) cargo build --quiet --profile guest --target $(TARGET) -p guest-init -p rig --bins
