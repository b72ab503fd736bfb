# Names for the scripts; what they do is in scripts/.
.PHONY: demo demo-clean test check bench shims dist

demo:
	scripts/demo.sh
demo-clean:
	scripts/demo.sh clean
test:
	scripts/test.sh
check:
	scripts/check.sh
bench:
	scripts/bench.sh
shims:
	UPDATE=1 cargo test --test it tidy::
dist:
	scripts/dist.sh
