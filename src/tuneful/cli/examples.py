"""An example line of every command: in its help, and beside every mistake. The tests run the parser over all of them."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, ...]] = {
    "init": ("tuneful init data/houses.csv target=price -o houses.toml",),
    "check": ("tuneful check data/flowers", "tuneful check digits optimizer=adabound lr=3e-3"),
    "doctor": ("tuneful doctor digits", "tuneful doctor digits optimizer=sgd lr=3 --steps 200"),
    "plan": ("tuneful plan digits", "tuneful plan data/flowers model=resnet9 batch_size=256 --seconds 30"),
    "optimize": (
        "tuneful optimize digits --budget 60s",
        "tuneful optimize houses.toml --budget 30min --name houses",
        "tuneful optimize data/new.csv --from runs/houses/artifact --budget 10min",
    ),
    "train": (
        "tuneful train digits",
        "tuneful train digits optimizer=adabound lr=3e-3 epochs=20",
        "tuneful train data/mnist --recipe mnist-10 seed=1",
        "tuneful train data/flowers --devices auto --restarts 3",
    ),
    "tune": (
        "tuneful tune digits lr=1e-4..1e-1 width=16,32,64 --budget 5min",
        "tuneful tune data/flowers lr=1e-4..1e-1 --proxy width=64 --target width=1024",
    ),
    "compare": (
        "tuneful compare sgd adam adamw --on digits epochs=20",
        "tuneful compare momentum adamw muon --on data/flowers --seeds 5 --tune 20",
    ),
    "ablate": ("tuneful ablate digits", "tuneful ablate runs/digits --seeds 5 --path --budget 30min"),
    "worker": (
        "tuneful worker digits-tune",
        "tuneful worker /shared/runs/flowers --device cuda",
        "tuneful worker postgresql://me@host/studies --name flowers --data /data/flowers",
    ),
    "resume": ("tuneful resume digits", "tuneful resume runs/digits --budget 2h"),
    "verify-resume": ("tuneful verify-resume runs/digits --kills 5",),
    "improve": (
        "tuneful improve digits static_int8",
        'tuneful improve runs/digits static_int8 calibrate=entropy --keep "accuracy-1%"',
        'tuneful improve digits --goal "latency<1ms,size<200kB" --budget 5min',
        "tuneful improve digits --take static_int8",
    ),
    "evaluate": ("tuneful evaluate runs/digits", "tuneful evaluate runs/houses/artifact data/houses-2026.csv"),
    "predict": (
        "tuneful predict runs/digits/artifact digits",
        "tuneful predict runs/houses/artifact new.csv -o predicted.csv",
        "tuneful predict flowers new/ --explain heat",
    ),
    "serve": (
        "tuneful serve runs/digits/artifact",
        "tuneful serve digits flowers=runs/flowers/artifact --processes 2 --token-file tokens.txt",
        "tuneful serve digits --on ray --processes 4",
        "tuneful serve --models models.toml --host 0.0.0.0 --port 443 --tls-cert chain.pem --tls-key key.pem",
    ),
    "watch": (
        "tuneful watch predictions.db --labels late.csv",
        "tuneful watch runs/houses/artifact --data new.csv --alarm 0.01",
        "tuneful watch houses --record predictions.db --alarm 0.05/week --by betting,windows --since 1d --webhook https://example.org/alarms",
    ),
    "deploy": (
        "tuneful deploy runs/digits/artifact --to docker -o image",
        "tuneful deploy digits --to kubernetes --image registry.example.org/digits:1",
    ),
    "export": (
        "tuneful export runs/digits --to pt2",
        "tuneful export digits --to litert_int8 --python litert/bin/python",
    ),
    "verify": ("tuneful verify runs/digits", "tuneful verify runs/digits/artifact --key models.key.pub"),
    "seal": (
        "tuneful seal --new-key models.key",
        "tuneful seal runs/digits --about about.toml --sign models.key",
    ),
    "report": ("tuneful report runs/digits",),
    "show": (
        "tuneful show",
        "tuneful show digits",
        "tuneful show runs/digits/artifact --json",
        "tuneful show digits rotate=20 zoom=0.2 --augment -o seen.png",
    ),
    "list": ("tuneful list", "tuneful list optimizer", "tuneful list adabound", "tuneful list mnist-10"),
    "env": ("tuneful env", "tuneful env --json"),
    "schema": ("tuneful schema -o tuneful.schema.json",),
}

VALUES: dict[str, str] = {
    "--budget": "30min", "--recipe": "mnist-10", "--name": "first", "--home": "runs", "--runs": "runs", "--device": "cpu", "--output": "out.csv",
    "-o": "out.csv", "--keep": "accuracy-1%", "--goal": "latency<1ms", "--take": "static_int8", "--schema": "tuneful.schema.json", "--kills": "3", "--devices": "2", "--restarts": "3", "--trial": "0", "--steps": "200", "--on": "digits", "--seeds": "5", "--confirm": "3", "--ensemble": "8", "--final": "train+valid", "--stop-when": "gain<0.1%/min", "--tune": "20", "--seconds": "10",
    "--models": "models.toml", "--to": "docker", "--image": "digits:1", "--host": "0.0.0.0", "--port": "8080", "--processes": "2", "--threads": "1", "--limits": "body=32MB", "--token-file": "tokens.txt", "--new-token": "alice", "--tls-cert": "chain.pem", "--tls-key": "key.pem", "--log": "errors", "--drain": "5",
    "--from": "houses", "--record": "predictions.db", "--recording": "share=0.1", "--data": "new.csv", "--labels": "late.csv", "--target": "price", "--reference": "1000", "--alarm": "0.01/month", "--by": "betting", "--test": "ks",
    "--correction": "bh", "--window": "1d", "--windows": "2/5", "--since": "1d", "--of": "houses:2", "--webhook": "https://example.org/alarms",
    "--python": "litert/bin/python", "--key": "models.key.pub", "--about": "about.toml", "--sign": "models.key", "--new-key": "models.key",
    "--explain": "heat",
    "--proxy": "width=64",
}  # fmt: skip
"""A value for every option that wants one."""


def first(command: str) -> str:
    """The first example of a command; `tuneful optimize digits` where there is none."""
    return EXAMPLES.get(command, ("tuneful optimize digits --budget 60s",))[0]


def epilog(command: str) -> str:
    """The examples as they stand at the end of a command's help."""
    found = EXAMPLES[command]
    lines = "\n".join(f"  {line}" for line in found)
    return f"\b\n{'Example' if len(found) == 1 else 'Examples'}:\n{lines}"  # \b: these lines stay as they are
