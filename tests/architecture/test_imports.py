"""Modules meet at the front door, and only where they said they would."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import grimp

from modules import MODULES

ROOT = Path(__file__).parents[2]
PACKAGES = ("api", "modules", "schema", "db", "worker")
GRAPH = grimp.build_graph(*PACKAGES)
DEPENDS = {module.name: set(module.depends_on) for module in MODULES}


def test_the_layers_hold():
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_every_folder_of_modules_is_in_the_list():
    folders = {p.name for p in (ROOT / "modules").iterdir() if (p / "__init__.py").exists()}
    assert folders == set(DEPENDS)


def test_modules_use_only_the_public_face_of_modules_they_depend_on():
    wrong = []
    for name, depends_on in DEPENDS.items():
        for importer in {f"modules.{name}"} | GRAPH.find_descendants(f"modules.{name}"):
            for imported in GRAPH.find_modules_directly_imported_by(importer):
                other = imported.split(".")[1] if imported.startswith("modules.") else name
                if other != name and (other not in depends_on or imported != f"modules.{other}.public"):
                    wrong.append(f"{importer} -> {imported}")
    assert not wrong


def test_only_build_knows_the_modules():
    wrong = []
    for importer in GRAPH.find_descendants("schema"):
        if importer == "schema.build":
            continue
        imported = GRAPH.find_modules_directly_imported_by(importer)
        if importer == "schema.offline":  # made of all modules' mutations; its record is a table of platform's
            imported -= {"modules.platform.public"}
        wrong += [f"{importer} -> {i}" for i in imported if i.startswith("modules") or i == "schema.build"]
    assert not wrong


def test_the_edge_knows_modules_by_their_public_face():
    wrong = []
    for package in ("api", "worker"):
        for importer in GRAPH.find_descendants(package):
            imported = GRAPH.find_modules_directly_imported_by(importer)
            wrong += [f"{importer} -> {i}" for i in imported if i.startswith("modules.") and not i.endswith(".public")]
    assert not wrong


def test_no_other_distribution_owns_our_package_names():
    owners = importlib.metadata.packages_distributions()
    for package in PACKAGES:
        assert set(owners.get(package, [])) <= {"unison"}, package


def test_files_stay_small():
    long = {
        str(p.relative_to(ROOT)): n
        for package in PACKAGES
        for p in (ROOT / package).rglob("*.py")
        if (n := len(p.read_text().splitlines())) > 300
    }
    assert not long, "split by concept"
