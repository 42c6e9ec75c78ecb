"""Scripts are recognised, and foreign ones reported."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossrank.languages import LANGUAGES_OF_SCRIPT, count_scripts, foreign_script, scripts_of

# "All human beings are born free", in the words of each language's translation.
DECLARATION = {
    "Latin": "Tous les êtres humains naissent libres et égaux",
    "Cyrillic": "Все люди рождаются свободными и равными",
    "Greek": "Ολοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι",
    "Arabic": "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق",
    "Hebrew": "כל בני האדם נולדו בני חורין ושווים",
    "Devanagari": "सभी मनुष्यों को गौरव और अधिकारों के मामले में",
    "Bengali": "সমস্ত মানুষ স্বাধীনভাবে সমান মর্যাদা",
    "Gurmukhi": "ਸਾਰਾ ਮਨੁੱਖੀ ਪਰਿਵਾਰ ਆਪਣੀ ਮਹਿਮਾ",
    "Gujarati": "પ્રતિષ્ઠા અને અધિકારોની દૃષ્ટિએ સર્વ માનવો",
    "Oriya": "ଜନ୍ମକାଳରୁ ସବୁ ମନୁଷ୍ୟ ସ୍ଵାଧୀନ",
    "Tamil": "மனிதப் பிறவியினர் சகலரும் சுதந்திரமாகவே",
    "Telugu": "ప్రతిపత్తిస్వత్వముల విషయమున మానవులెల్లరును",
    "Kannada": "ಎಲ್ಲಾ ಮಾನವರೂ ಸ್ವತಂತ್ರರಾಗಿಯೇ ಜನಿಸಿದ್ದಾರೆ",
    "Malayalam": "മനുഷ്യരെല്ലാവരും തുല്യാവകാശങ്ങളോടും",
    "Sinhala": "සියලු මනුෂ්‍යයෝ නිදහස්ව උපත ලබා ඇත",
    "Thai": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกัน",
    "Lao": "ມະນຸດທຸກຄົນເກີດມາມີສິດເສລີພາບ",
    "Khmer": "មនុស្សទាំងអស់ កើតមកមានសេរីភាព",
    "Myanmar": "လူတိုင်းသည် တူညီ လွတ်လပ်သော",
    "Tibetan": "འགྲོ་བ་མིའི་རིགས་རྒྱུད་ཡོངས་ལ",
    "Georgian": "ყველა ადამიანი იბადება თავისუფალი",
    "Armenian": "Բոլոր մարդիկ ծնվում են ազատ",
    "Ethiopic": "የሰው ልጅ ሁሉ ሲወለድ ነጻና",
    "Mongolian": "ᠬᠦᠮᠦᠨ ᠪᠦᠷ ᠲᠥᠷᠥᠵᠦ ᠮᠡᠨᠳᠡᠯᠡᠬᠦ",
    "Han": "人人生而自由,在尊严和权利上一律平等",
    "Kana": "すべてのにんげんは、ウマレナガラニシテ",
    "Hangul": "모든 인간은 태어날 때부터 자유로우며",
}


@pytest.mark.parametrize("script", LANGUAGES_OF_SCRIPT)
def test_every_script_is_recognised(script: str) -> None:
    assert set(count_scripts(DECLARATION[script])) == {script}


@pytest.mark.parametrize("script", LANGUAGES_OF_SCRIPT)
def test_every_script_is_foreign_to_other_languages_only(script: str) -> None:
    texts = ["", "2024: 3 + 4 = 7!", DECLARATION[script]]
    for other, codes in LANGUAGES_OF_SCRIPT.items():
        for language in codes.split():
            expected = None if script in scripts_of(language) else script
            assert foreign_script(texts, [language]) == expected, (language, other)


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("", {}),
        ("1234 + 5 = €, 😀 \ud800 \0", {}),
        ("naïve café", {"Latin": 9}),
        ("ÅΩж", {"Latin": 1, "Greek": 1, "Cyrillic": 1}),
        ("フルーツ ﾌﾙ ー", {"Kana": 7}),
        ("FULL", {"Latin": 4}),
        ("漢字かな混じり", {"Han": 3, "Kana": 4}),
        ("𝐀 µ ª º", {}),
        ("x" * 1000, {"Latin": 200}),
    ],
)
def test_letters_are_counted(text: str, counts: dict[str, int]) -> None:
    assert count_scripts(text) == counts


@pytest.mark.parametrize(
    ("text", "languages", "script"),
    [
        ("half абвг", ["en"], None),
        ("half абвгд", ["en"], "Cyrillic"),
        ("half абвгд", ["en", "ru"], None),
        ("half абвгд", ["sr"], None),
        ("日本語のテキスト", ["en"], "Kana"),
        ("漢字とか", ["en"], "Han"),
        ("Internet2是什么", ["zh"], None),
        ("Latin words, 两个字", ["zh"], "Latin"),
        ("日本語のテキスト", ["zh-Hant"], "Kana"),
        ("日本語のテキスト", ["ja_JP"], None),
        ("Where is Beijing?", ["zh"], "Latin"),
        ("北京在哪里", ["EN-us"], "Han"),
        ("北京在哪里", ["tlh"], None),
        ("北京在哪里", ["en", "multilingual"], None),
        ("北京在哪里", [], None),
    ],
)
def test_foreign_is_more_than_half(text: str, languages: list[str], script: str | None) -> None:
    assert foreign_script(["", text], languages) == script


def test_the_first_foreign_text_is_named() -> None:
    assert foreign_script(iter(["one", "два", "三"]), ["en"]) == "Cyrillic"


@given(st.text())
def test_any_text_has_at_most_its_length_of_letters(text: str) -> None:
    assert count_scripts(text).total() <= sum(map(str.isalpha, text))


@given(st.text(st.characters(max_codepoint=0x24F)))
def test_western_text_is_never_foreign_to_english(text: str) -> None:
    assert foreign_script([text], ["en"]) is None


def test_parallel_texts_are_told_apart(crossrank_data: Path) -> None:
    def paragraphs(language: str) -> list[str]:
        content = json.loads((crossrank_data / f"xquad/xquad.{language}.json").read_text())
        return [part["context"] for article in content["data"] for part in article["paragraphs"]]

    english, chinese = paragraphs("en"), paragraphs("zh")
    assert foreign_script(english, ["en"]) is None
    assert foreign_script(chinese, ["zh"]) is None
    assert [foreign_script([text], ["en"]) for text in chinese] == ["Han"] * 240
    assert [foreign_script([text], ["zh"]) for text in english] == ["Latin"] * 240


def test_it_takes_under_a_fiftieth_of_scoring() -> None:
    """Two texts a pair, none of them ASCII; a pair of a small model takes 3 ms."""
    texts = ["Der Bär isst gerne süße Beeren, “täglich”. " * 10] * 200

    def seconds_per_pair() -> float:
        start = time.process_time()
        assert foreign_script(texts, ["de"]) is None
        return (time.process_time() - start) / 100

    assert min(seconds_per_pair() for _ in range(10)) < 0.02 * 0.003
