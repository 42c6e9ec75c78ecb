"""Rerank academic papers: a research question against titles and abstracts."""

from crossrank import CrossEncoder

QUESTION = "How can a large neural network be made smaller without losing accuracy?"

PAPERS = [
    {
        "title": "Deep Residual Learning",
        "abstract": "Shortcut connections let networks of a hundred layers and more be trained, "
        "and their accuracy grows with their depth.",
    },
    {
        "title": "Distilling Knowledge",
        "abstract": "A large neural network is compressed: a small student network learns to match "
        "the softened outputs of the teacher and stays nearly as accurate.",
    },
    {
        "title": "Attention for Translation",
        "abstract": "A translation model learns where to look in the source sentence while it "
        "writes each word of the target sentence.",
    },
    {
        "title": "Pruning Connections",
        "abstract": "Unimportant weights of a trained neural network are removed and the rest is "
        "retrained, which shrinks the network ninefold with no loss of accuracy.",
    },
]

model = CrossEncoder()
texts = [f"{paper['title']}. {paper['abstract']}" for paper in PAPERS]

print(QUESTION)
for place, entry in enumerate(model.rank(QUESTION, texts), start=1):
    print(f"{place}. {entry['score']:.3f}  {PAPERS[entry['corpus_id']]['title']}")
