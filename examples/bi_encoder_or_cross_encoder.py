"""Bi-encoder or cross-encoder? Search with the one, rerank with the other, and look at both orders.

    python examples/bi_encoder_or_cross_encoder.py [MODEL]

MODEL is a bi-encoder in sentence-transformers' layout.
"""

import sys

import numpy as np

from crossrank import CrossEncoder
from crossrank.retrieval.dense import BiEncoder

QUESTION = "Which moon has a liquid ocean?"
DOCUMENTS = [
    "Oceans cover most of the Earth, and the Moon raises their tides.",
    "Below the ice of Europa, which circles Jupiter, lies a sea of liquid water.",
    "Phobos, a moon of Mars, is dry and covered in craters.",
    "Ocean liners crossed the Atlantic by moonlight.",
]

# A bi-encoder reads each text by itself. Vectors of documents can be made once and kept, so that
# millions are searched in milliseconds; but it never sees query and document together.
bi_encoder = BiEncoder.load(sys.argv[1] if len(sys.argv) > 1 else "all-MiniLM-L6-v2")
documents = bi_encoder.encode(DOCUMENTS, role="document")
cosines = documents @ bi_encoder.encode([QUESTION], role="query")[0]
found = np.argsort(-cosines).tolist()

# A cross-encoder reads each pair: better, but nothing can be computed ahead. So it gets the few
# documents that the first stage found.
ranking = CrossEncoder().rank(QUESTION, [DOCUMENTS[index] for index in found])

print("bi-encoder:", *(f"{cosines[index]:.2f}  {DOCUMENTS[index]}" for index in found), sep="\n  ")
best = [f"{entry['score']:.2f}  {DOCUMENTS[found[entry['corpus_id']]]}" for entry in ranking]
print("cross-encoder:", *best, sep="\n  ")
