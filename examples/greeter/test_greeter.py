import workers  # loads the agents and the Celery application
import greeter


def test_a_guest_gets_one_letter(tmp_path, monkeypatch):
    monkeypatch.setattr(greeter, "OUTBOX", tmp_path)

    first = greeter.greet(guest="linus")
    second = greeter.greet(guest="linus")

    assert first["ok"] and not first["replayed"]
    assert second == first | {"replayed": True}
    assert [file.name for file in tmp_path.iterdir()] == ["linus.txt"]
