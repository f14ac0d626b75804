"""The configuration brought into a cluster's XML by real pcs, whose agents stand in a /usr/sbin of this test alone."""

import os
import shutil

import pytest

CIB = """<cib crm_feature_set="3.0.14" validate-with="pacemaker-3.0" epoch="1" num_updates="0" admin_epoch="0">
<configuration><crm_config/><nodes><node id="1" uname="storage-a"/><node id="2" uname="storage-b"/></nodes><resources/>
<constraints/></configuration><status/></cib>
"""
ENTER = 'mount --make-rprivate / && mount -t overlay -o "lowerdir=$0:/usr/sbin" none /usr/sbin && exec "$@"'


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount over /usr/sbin")
@pytest.mark.skipif(not shutil.which("pcs", path="/usr/sbin:" + os.environ["PATH"]), reason="pcs is not installed")
def test_apply_is_done_once_and_check_mode_does_nothing(place, first):
    host = place.host("storage-a")
    cib = place.path / "cib.xml"
    cib.write_text(CIB)
    play = [{
        "hosts": "storage-a",
        "gather_facts": False,
        "vars": {"ansible_python_interpreter": str(host / "venv/bin/python")},
        "tasks": [{"fencekit.stonith.stonith_config": {
            "kind": "pcs",
            "config": str(host / "etc/fencekit/cluster.yml"),
            "dest": str(place.path / "configure-stonith.sh"),
            "validate": "bash -n %s",
            "apply": True,
            "cib": str(cib),
        }}],
    }]
    machine = set(os.listdir("/usr/sbin"))
    inside = ["unshare", "--mount", "sh", "-c", ENTER, host / "sbin"]

    ran = place.run(play, "--check", "--diff", inside=inside)
    assert (ran.code, ran.sum("changed")) == (0, 1), ran.output
    assert '"applied": true' in ran.output and "Dry run: nothing was changed." in ran.output
    assert cib.read_text() == CIB and not (place.path / "configure-stonith.sh").exists()

    ran = place.run(play, inside=inside)
    assert (ran.code, ran.sum("changed")) == (0, 1), ran.output
    for words in ('id="fence-storage-a"', 'id="fence-verify-storage-b"', 'target="storage-b"', "stonith-enabled"):
        assert words in cib.read_text()

    ran = place.run(play, inside=inside)
    assert (ran.code, ran.sum("changed")) == (0, 0), ran.output
    assert "Nothing to change." in ran.output
    assert set(os.listdir("/usr/sbin")) == machine, "the machine itself is left alone"
