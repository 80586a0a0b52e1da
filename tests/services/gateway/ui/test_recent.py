"""What pages show is looked at once for all who look at the same time."""

import time
from concurrent.futures import ThreadPoolExecutor

from services.gateway.ui.recent import MOST_ANSWERS, Recent


def test_many_viewers_cost_one_look_and_final_answers_stay(monkeypatch):
    recent, looks = Recent(), []

    def look() -> int:
        looks.append(1)
        time.sleep(0.05)
        return len(looks)

    with ThreadPoolExecutor(16) as pool:
        seen = list(pool.map(lambda _: recent.get("a", look), range(64)))
    assert set(seen) == {1}
    recent.forget("a")
    assert recent.get("a", look) == 2
    monkeypatch.setattr("services.gateway.ui.recent.FRESH_SECONDS", 0.0)
    assert recent.get("b", look, lambda _: True) == 3
    assert recent.get("b", look) == 3
    recent.forget("a")
    assert [recent.get("a", look) for _ in range(2)] == [4, 5]


def test_answers_are_bounded():
    recent = Recent()
    for i in range(2 * MOST_ANSWERS):
        recent.get(i, lambda i=i: i)
    assert len(recent._answers) == MOST_ANSWERS
    assert recent._making == {}
