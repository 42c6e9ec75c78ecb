"""Words are those of bm25s, but where a script puts no spaces between them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossrank.errors import InputError
from crossrank.retrieval.bm25 import BM25
from crossrank.retrieval.words import words_of

bm25s = pytest.importorskip("bm25s", reason="needs the extra demo")

CHINESE = ["东京是日本的首都。", "巴黎是法国的首都，有埃菲尔铁塔。", "面包是用面粉烤的。"]
JAPANESE = ["東京タワーは東京にあります。", "パンは小麦粉から作られる。", "猫が庭で寝ている。"]
THAI = ["กรุงเทพเป็นเมืองหลวงของประเทศไทย", "ขนมปังอบในเตา", "แมวนอนในสวน"]
LAO = ["ວຽງຈັນເປັນນະຄອນຫຼວງ", "ເຂົ້າຈີ່ອົບໃນເຕົາ"]
KHMER = ["ភ្នំពេញជារាជធានី", "នំប៉័ងដុតក្នុងឡ"]
BURMESE = ["ရန်ကုန်မြို့", "ပေါင်မုန့်ဖုတ်"]


def words_of_bm25s(text: str) -> list[str]:
    (words,) = bm25s.tokenize([text], stopwords="english", return_ids=False, show_progress=False)
    return list(words)


@given(st.text(st.characters(max_codepoint=0xDFF) | st.sampled_from(" _-.İß한글ⅫǅＡ"), max_size=20))
def test_other_scripts_have_the_words_of_bm25s(text: str) -> None:
    assert words_of(text) == words_of_bm25s(text)
    assert words_of(f"The {text} of 2024") == words_of_bm25s(f"The {text} of 2024")


def test_characters_and_their_pairs() -> None:
    assert words_of("北京 iPhone手机, C型") == [
        "北",
        "京",
        "北京",
        "iphone",
        "手",
        "机",
        "手机",
        "型",
    ]
    assert words_of("々ー・、。？") == ["々", "ー", "々ー"]


@pytest.mark.parametrize(
    ("documents", "query", "best"),
    [
        (CHINESE, "法国首都是哪里？", 1),
        (CHINESE, "日本的首都", 0),
        (CHINESE, "面包怎么做", 2),
        (CHINESE, "塔", 1),
        (JAPANESE, "東京タワーはどこ", 0),
        (JAPANESE, "パンの作り方", 1),
        (JAPANESE, "猫", 2),
        (THAI, "เมืองหลวงของไทย", 0),
        (THAI, "แมวนอนที่ไหน", 2),
        (LAO, "ນະຄອນຫຼວງ", 0),
        (KHMER, "នំប៉័ង", 1),
        (BURMESE, "ပေါင်မုန့်", 1),
    ],
)
def test_documents_without_spaces_are_found(
    tmp_path: Path, documents: list[str], query: str, best: int
) -> None:
    found = BM25(documents).search(query, 3)
    assert found[0][0] == best
    scores = [score for _, score in found]
    on_disk = BM25.build(tmp_path, documents)
    assert [place for place, _ in on_disk.search(query, 3)] == [place for place, _ in found]
    pairs = [(query, documents[place]) for place, _ in found]
    assert on_disk.score(pairs).tolist() == pytest.approx(scores, rel=1e-5)


def test_signs_alone_are_no_words(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs documents with words"):
        BM25.build(tmp_path, ["。、・「」", "฿ ๏ ៕ ၊"])
