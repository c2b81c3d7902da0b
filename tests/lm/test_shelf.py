"""Models in memory: which are kept, which make room, who waits. The models are strings, the clock is set by hand."""

import threading

import pytest

from deft_core.errors import ModelError
from deft_core.lm.shelf import Busy, Held, Shelf, Wanted, parameters

GB = 1e9


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def shelf(free=lambda: None, most=2):
    return Shelf(free, most, idle_seconds=600, clock=Clock())


def wanted(name, size=None, loads=None):
    def load(say):
        (loads if loads is not None else []).append(name)
        return f"model {name}"

    return Wanted(name, name, size, load)


def use(place, *names, size=None, loads=None):
    for name in names:
        with place.using(wanted(name, size, loads), lambda words: None) as model:
            assert model == f"model {name}"


def names(place):
    return [held.name for held in place.held()]


def test_a_model_is_loaded_once():
    place, loads = shelf(), []
    use(place, "a", "a", "b", "a", loads=loads)
    assert loads == ["a", "b"]


def test_the_one_that_was_not_used_for_longest_makes_room():
    place = shelf()
    use(place, "a", "b", "a", "c")
    assert names(place) == ["a", "c"]


def test_where_memory_is_short_more_of_them_do():
    place = shelf(lambda: 4 * GB - 2 * GB * len(place.held()))
    use(place, "a", "b", size=1 * GB)  # 4 free, then 2
    assert names(place) == ["a", "b"]
    use(place, "c", size=1.5 * GB)  # with its quarter more it needs 1.875: one of the others goes
    assert names(place) == ["b", "c"]
    use(place, "d", size=3 * GB)  # 3.75: both
    assert names(place) == ["d"]


def test_what_does_not_fit_is_refused_before_it_is_loaded():
    place, loads = shelf(lambda: 1 * GB), []
    with pytest.raises(ModelError, match=r"about 1\.2 GB of memory for a; found 1\.0 GB free"):
        use(place, "a", size=1 * GB, loads=loads)
    assert loads == [] and names(place) == []
    use(place, "a", loads=loads)  # of unknown size: it is tried
    assert loads == ["a"]


def test_models_unused_for_long_are_put_away():
    place = shelf()
    use(place, "a")
    place.clock.now = 500.0
    use(place, "b")
    place.clock.now = 610.0
    assert place.held() == [Held("a", None, 610.0), Held("b", None, 110.0)]
    place._tidy()
    assert names(place) == ["b"]
    assert place._timer.interval == 490.0  # b's ten minutes
    place.unload()
    assert names(place) == []
    place._timer.cancel()


def test_one_at_a_time_and_who_waits_can_be_stopped():
    place, words = shelf(), []
    with place.using(wanted("a"), lambda words: None):
        assert not place.unload()
        waiting = iter([False, True])
        with pytest.raises(Busy), place.using(wanted("b"), words.append, lambda: next(waiting)):
            pass
        follower = threading.Thread(target=use, args=(place, "c"))
        follower.start()
        assert names(place) == ["a"]
    follower.join(30)
    assert names(place) == ["a", "c"] and words == ["waiting: somebody else is asking"]


def test_a_model_that_fails_to_load_leaves_the_shelf_to_others():
    place = shelf()

    def fail(say):
        raise ModelError("a model", "none", "Bring one.")

    with pytest.raises(ModelError), place.using(Wanted("x", "x", None, fail), lambda words: None):
        pass
    use(place, "a")
    assert names(place) == ["a"]


def test_parameters_are_counted_from_the_files_headers(tiny, tmp_path):
    from deft_core.lm import models

    lm = models.load("tiny", tiny)
    assert parameters(tiny) == sum(one.numel() for one in lm.model.parameters())
    assert parameters(tmp_path) is None
    (tmp_path / "model.safetensors").write_bytes(b"half")
    assert parameters(tmp_path) is None
