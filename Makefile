# `make demo` and `make test` set up everything they need. ARGS="..." is passed on to demo, test, eval, loop, thresholds, check-lerobot and bench-NAME.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint eval loop train-tiny thresholds check-lerobot screenshots pictures bench clean clean-all
ARGS ?=
SUITE ?= tasks
EPISODES ?= 50
ROBOT ?= franka
RECORDED ?= 400
IN_ENV := source setup/env.sh &&
BENCHES := $(patsubst bench/%.py,bench-%,$(wildcard bench/[a-z]*.py))

help:  ## what there is
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 16
	@echo "bench-NAME  one measurement: $(BENCHES)"

setup:  ## environment and workspace; done by every target below, within a second when nothing changed
	@setup/setup.sh

demo: setup  ## tasks with the simulated Franka, headless; writes out/demo. ROBOT=openarm_v2 and others: a motion with a stand-in
ifeq ($(ROBOT),franka)
	@./a1 run a1_sim demo $(ARGS)
else
	@$(IN_ENV) python tests/interfaces/interface_builder.py ./a1 run a1_sim robot_demo --robot $(ROBOT) $(ARGS)
endif

test: setup  ## every test
	@$(IN_ENV) python -m pytest $(ARGS)

lint: setup  ## ruff, mypy, import contracts
	@$(IN_ENV) ruff check && ruff format --check && mypy && lint-imports --no-logo

eval: setup  ## closed-loop evaluation over EPISODES=50; SUITE=table: every setting of config/table.yaml
	@./a1 run a1_sim evaluate --suite $(SUITE) --episodes $(EPISODES) $(ARGS)

loop: setup  ## record, export, fine-tune, calibrate, run, in the simulator; resumes; writes out/loop
	@./a1 run a1_sim loop $(ARGS)

train-tiny: setup  ## train a checkpoint by the recipe, from a seed; resumes where it was killed
	@./a1 run a1_training train_tiny $(ARGS)

thresholds: setup  ## thresholds of the shipped checkpoint: RECORDED=400 of its episodes, then their calibration
	@./a1 run a1_sim record_episodes --episodes $(RECORDED) --out out/recordings
	@./a1 run a1_calibration calibrate --robot franka --checkpoint checkpoints/tiny --bags out/recordings \
	    --out config/thresholds/franka_tiny.yaml --v-file out/recordings.v --report out/calibration \
	    --certify 0.05,0.1,10mm --gripper-tolerance 0.3 $(ARGS)

check-lerobot: setup  ## data sets against the real LeRobot, in an environment of its own (gigabytes); ARGS=DATASET...
	@$(IN_ENV) setup/check_lerobot.sh $(ARGS)

screenshots: setup  ## pictures of every window and page, in out/screenshots
	@screenshots/rqt.sh
	@$(IN_ENV) python screenshots/page.py

pictures: setup  ## the pictures of README and docs, taken anew; commit them
	@./a1 run a1_sim demo --no-page
	@screenshots/rqt.sh
	@$(IN_ENV) python screenshots/documents.py

bench: $(BENCHES)  ## every measurement, one JSON line each

bench-%: setup
	@$(IN_ENV) python bench/$*.py $(ARGS)

clean:  ## remove what was built
	rm -rf build install log out

clean-all: clean  ## remove the environment as well
	rm -rf .venv .venv-lerobot .mypy_cache .ruff_cache .pytest_cache
