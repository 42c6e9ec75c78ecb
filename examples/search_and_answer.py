"""Search a folder of documents in two stages, and have the best of it answer a question.

    python examples/search_and_answer.py [FOLDER QUESTION [LLM BASE_URL]]

LLM is the name of a language model at a server of OpenAI's protocol, e.g. llama3.2 at
http://localhost:11434/v1. Without one the best chunks are printed alone.
"""

import sys
import tempfile
from pathlib import Path

from openai import OpenAI

from crossrank import CrossEncoder
from crossrank.retrieval.answer import Answerer
from crossrank.retrieval.index import SearchIndex, update
from crossrank.retrieval.pipeline import RetrieveAndRerank

docs = Path(__file__).parents[1] / "docs"
folder, *asked = sys.argv[1:] or [str(docs), "What is a calibrated score?"]
question, *server = asked or sys.exit(__doc__)
with tempfile.TemporaryDirectory() as place:
    # An index is worth keeping: called again, update reads what has changed and nothing else.
    update(Path(folder), Path(place))
    index, model = SearchIndex(Path(place)), CrossEncoder()
    search = RetrieveAndRerank(index.retriever, model, index.texts, depth=100, top_k=5)
    found = search(question)
    print(f"the best of {found.depth} chunks that BM25 found:")
    for hit in found.hits:
        print(f"{hit.score:6.2f}  {index[hit.id].path}: {index[hit.id].chunk.text[:60]!r}")
    if server:
        name, address = server
        client = OpenAI(base_url=address, api_key="none")
        answer = Answerer(index, search, model, client, name, context_tokens=400).ask(question)
        print(answer.text)
        for source in answer.cited:
            print(f"[{source.number}] {source.found.path}, {source.found.chunk.heading}")
    index.close()
