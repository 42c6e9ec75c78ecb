"""CrossEncoder: predict, rank, stream."""

import asyncio
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from crossrank import activations
from crossrank.activations import Activation
from crossrank.compatibility import renamed
from crossrank.errors import InputError
from crossrank.loaded_model import Devices, LoadedModel
from crossrank.long_documents import LongDocuments, check_long_documents
from crossrank.optional import require
from crossrank.progress import progress_bar
from crossrank.ranking import score_documents, sort_documents
from crossrank.scoring import WINDOW, Options, check_pair
from crossrank.tokenization import read_text
from crossrank.types import Floats, RankedDocument

if TYPE_CHECKING:
    from crossrank.explanation.explanation import Explanation, Method

_OF_PROCESSES = dict.fromkeys(("num_workers", "pool", "chunk_size"), "")
"""Arguments of sentence-transformers about its processes; there are none here."""


class CrossEncoder(LoadedModel):
    """Scores query-document pairs and ranks documents.

    Everything about scoring works as in the class of this name in sentence-transformers 6.
    ``CrossEncoder()`` is the embedded model, ``CrossEncoder("small")`` one of half its
    size that is twice as fast and less accurate; the arguments are those of ``LoadedModel``.

    Example:
        >>> model = CrossEncoder()
        >>> ranking = model.rank("capital of France", ["Bread is baked.", "Paris is the capital."])
        >>> [entry["corpus_id"] for entry in ranking]
        [1, 0]
    """

    @renamed(sentences="inputs", activation_fct="activation_fn", **_OF_PROCESSES)
    def predict(
        self,
        inputs: Iterable[Any],
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        activation_fn: str | Activation | None = None,
        apply_softmax: bool | None = False,
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: Devices = None,
        *,
        calibrated: bool = False,
    ) -> Any:
        """Score pairs.

        A score does not depend on the other pairs of the call. Safe to call from many threads.

        Args:
            inputs: One pair ``(query, document)``, or any iterable of pairs. Memory does not grow
                with its length, but for the scores themselves.
            prompt_name: Which of ``prompts`` to put before each query.
            prompt: A text to put before each query.
            batch_size: Pairs a batch. By default batches are filled by tokens, which is faster.
            show_progress_bar: By default shown on a terminal when the work takes long.
            activation_fn: Used instead of the model's for this call.
            apply_softmax: Make probabilities of several labels.
            convert_to_numpy: ``False`` gives a list of torch tensors.
            convert_to_tensor: ``True`` gives one torch tensor.
            device: A device, or several to share the work.
            calibrated: Give probabilities, by the calibration that is saved with the model.

        Returns:
            Scores ``[pairs]``, or ``[pairs, labels]`` for a model of several labels; for a single
            pair a scalar, or ``[labels]``.

        Raises:
            InputError: An item is no pair of strings; the message names its index. Or the model has
                no calibration for its precision.
            InvalidScoreError: The model answered NaN or infinity.

        Example:
            >>> model = CrossEncoder()
            >>> model.predict([("a query", "a document"), ("a query", "")]).shape
            (2,)
        """
        single = _is_single(inputs)
        pairs: Iterable[Any] = [inputs] if single else inputs
        options = Options(
            self.prompt_text(prompt_name, prompt), _checked_number("batch_size", batch_size)
        )
        finish = self.finisher(activation_fn, apply_softmax, calibrated)
        total = len(pairs) if isinstance(pairs, Sized) else None
        with progress_bar(total, show=show_progress_bar) as progress:
            parts = [
                finish(scored.logits)
                for scored in self.scorer(device).run(pairs, options, progress)
            ]
        scores: Any = np.concatenate(parts) if parts else np.empty(0, dtype=np.float32)
        if convert_to_tensor or not convert_to_numpy:
            tensor = require("torch", extra="torch").from_numpy(scores)
            scores = tensor if convert_to_tensor else list(tensor)
        return scores[0] if single else scores

    def stream(
        self,
        pairs: Iterable[Any],
        *,
        window: int = WINDOW,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        activation_fn: str | Activation | None = None,
        apply_softmax: bool = False,
        device: Devices = None,
        calibrated: bool = False,
    ) -> Iterator[Any]:
        """Score pairs one after the other, in constant memory.

        Args:
            pairs: Any iterable of pairs; up to two windows of it are read ahead.
            window: Pairs that are looked at together. Smaller answers sooner, larger is faster.
            prompt_name: As for ``predict``, like all that follow.
            prompt: As for ``predict``.
            batch_size: As for ``predict``.
            activation_fn: As for ``predict``.
            apply_softmax: As for ``predict``.
            device: As for ``predict``.
            calibrated: As for ``predict``.

        Yields:
            The score of each pair in input order; ``[labels]`` for a model of several labels.

        Raises:
            InputError: An item is no pair of strings, or an argument cannot be used.
            InvalidScoreError: The model answered NaN or infinity.

        Example:
            >>> pairs = (("query", f"document {number}") for number in range(3))
            >>> len(list(CrossEncoder().stream(pairs)))
            3
        """
        if window < 1:
            raise InputError(f"window must be at least 1 pair, received {window}.")
        resolved = self.prompt_text(prompt_name, prompt)
        options = Options(resolved, _checked_number("batch_size", batch_size), window)
        finish = self.finisher(activation_fn, apply_softmax, calibrated)
        for scored in self.scorer(device).run(pairs, options):
            yield from finish(scored.logits)

    @renamed(
        activation_fct="activation_fn",
        apply_softmax="",
        convert_to_numpy="",
        convert_to_tensor="",
        **_OF_PROCESSES,
    )
    def rank(
        self,
        query: str,
        documents: Sequence[Any],
        top_k: int | None = None,
        return_documents: bool = False,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        activation_fn: str | Activation | None = None,
        device: Devices = None,
        *,
        return_truncation: bool = False,
        long_documents: LongDocuments = "truncate",
        window: int | None = None,
        stride: int | None = None,
        calibrated: bool = False,
    ) -> list[RankedDocument]:
        """Rank documents by relevance to a query.

        Sorted by raw logit whatever the activation, and the calibration; ties keep the order of the
        input.

        Args:
            query: The query.
            documents: The documents: strings, or for a model of another modality images or
                recordings, see ``crossrank.multimodal``.
            top_k: How many to return; all by default.
            return_documents: Add each document as ``text``.
            prompt_name: As for ``predict``.
            prompt: As for ``predict``.
            batch_size: As for ``predict``.
            show_progress_bar: As for ``predict``.
            activation_fn: As for ``predict``.
            device: As for ``predict``.
            return_truncation: Add ``truncated_tokens``: how much the model did not read. Every
                document is then tokenised to its end, also when the cache knows its score.
            long_documents: ``"truncate"``, or score overlapping windows of each document and take
                the best (``"max"``), the first (``"first"``) or the mean of the best three
                (``"mean_top3"``); adds ``span``, the characters of the best window.
            window: Tokens a window; by default as many as fit beside the query.
            stride: Tokens between the starts of two windows; half a window by default.
            calibrated: As for ``predict``.

        Returns:
            ``corpus_id`` and ``score`` of each document, best first, and what was asked for.

        Raises:
            InputError: The model has several labels, or an argument cannot be used.
            InvalidScoreError: The model answered NaN or infinity.

        Example:
            >>> CrossEncoder().rank("fruit", ["An apple.", "A car."], return_documents=True)
            [{'corpus_id': 0, 'score': ..., 'text': 'An apple.'}, {'corpus_id': 1, ...}]
        """
        if self.num_labels != 1:
            raise InputError(
                f"rank needs a model with one label, and this one has {self.num_labels}: "
                "use predict and choose a label."
            )
        check_long_documents(long_documents, window, stride)
        top_k = _checked_number("top_k", top_k, least=0)
        query = read_text(query, "The query")
        finish = self.finisher(activation_fn, calibrated=calibrated)
        resolved = self.prompt_text(prompt_name, prompt)
        options = Options(
            resolved, _checked_number("batch_size", batch_size), count_truncated=return_truncation
        )
        documents = _listed(documents)
        read = [
            check_pair((query, document), index, self._tokenizer.read)[1]
            for index, document in enumerate(documents)
        ]
        with progress_bar(len(documents), show=show_progress_bar, unit="document") as progress:
            found = score_documents(
                self.scorer(device),
                query,
                read,
                options,
                how=long_documents,
                window=window,
                stride=stride,
                progress=progress,
            )
        scores = finish(found.logits[:, None])
        ranking: list[RankedDocument] = []
        for index in sort_documents(found.logits, top_k).tolist():
            entry: RankedDocument = {"corpus_id": index, "score": float(scores[index])}
            if return_documents:
                entry["text"] = documents[index]
            if return_truncation:
                entry["truncated_tokens"] = found.truncated[index]
            if found.spans:
                entry["span"] = found.spans[index]
            ranking.append(entry)
        return ranking

    def explain(
        self,
        query: str,
        document: str,
        method: "Method" = "sentences",
        *,
        label: int = 0,
        max_pieces: int = 128,
        steps: int = 50,
        faithfulness: bool = False,
        prompt_name: str | None = None,
        prompt: str | None = None,
        device: Devices = None,
    ) -> "Explanation":
        """Say which parts of a document make its score.

        Args:
            query: The query.
            document: The document, of which the part that the model reads is explained.
            method: ``"sentences"`` or ``"tokens"``: what the logit loses when a sentence or a word
                is taken out of the text; ``"gradients"``: integrated gradients, for sequence
                classifiers on torch, added up to words.
            label: Which logit is explained.
            max_pieces: Longer documents are cut into this many groups of neighbouring sentences or
                words, so that no more variants are scored.
            steps: Points of the integral for ``"gradients"``.
            faithfulness: Measure deletion and insertion against random orders, by scoring up to
                242 variants more.
            prompt_name: As for ``predict``.
            prompt: As for ``predict``.
            device: As for ``predict``.

        Returns:
            The pieces of the document with their attributions in logits. Shows itself on terminals
            and in notebooks.

        Raises:
            InputError: An argument cannot be used, or ``"gradients"`` is not on torch.
            UnsupportedModelError: ``"gradients"`` does not know the model's kind.

        Example:
            >>> text = "Bread is baked. Paris is the capital of France."
            >>> CrossEncoder().explain("capital of France", text).relevant_spans(top=1)[0].text
            'Paris is the capital of France.'
        """
        from crossrank.explanation.explain import Wanted, explain_pair

        wanted = Wanted(method, label, max_pieces, steps, faithfulness)
        resolved = self.prompt_text(prompt_name, prompt)
        return explain_pair(
            self.scorer(device), (query, document), wanted, prompt=resolved, finish=self.finisher()
        )

    async def predict_async(self, *args: Any, **kwargs: Any) -> Any:
        """Await ``predict``; same arguments. Runs on a thread, so that the event loop is free."""
        return await asyncio.to_thread(self.predict, *args, **kwargs)

    async def rank_async(self, *args: Any, **kwargs: Any) -> list[RankedDocument]:
        """Await ``rank``; same arguments. Runs on a thread, so that the event loop is free."""
        return await asyncio.to_thread(self.rank, *args, **kwargs)

    def finisher(
        self,
        activation_fn: str | Activation | None = None,
        apply_softmax: bool | None = False,
        calibrated: bool = False,
    ) -> Callable[[Floats], Floats]:
        """What makes scores of logits ``[pairs, labels]``: see ``predict`` for the arguments.

        Raises:
            InputError: The activation is unknown, or the model has no such calibration.
        """
        if calibrated and (activation_fn is not None or apply_softmax):
            raise InputError(
                "calibrated=True takes the place of an activation: leave activation_fn and "
                "apply_softmax out."
            )
        activate = self.calibration if calibrated else self._activate
        if activation_fn is not None:
            activate = activations.resolve(activation_fn)

        def finish(logits: Floats) -> Floats:
            scores: Floats = np.asarray(activate(logits.copy()))  # it may work in place
            if self.num_labels == 1:
                return scores.reshape(len(logits))
            return activations.softmax(scores) if apply_softmax else scores

        return finish


def _is_single(inputs: Any) -> bool:
    """Tell one pair from many, as sentence-transformers does."""
    if isinstance(inputs, str | bytes) or not isinstance(inputs, Iterable):
        raise InputError(
            "A pair (query, document) or an iterable of pairs is required, "
            f"received {type(inputs).__name__}."
        )
    if isinstance(inputs, np.ndarray):
        return inputs.ndim == 1 and inputs.size > 0
    return isinstance(inputs, list | tuple) and bool(inputs) and isinstance(inputs[0], str)


def _checked_number(name: str, value: int | None, least: int = 1) -> int | None:
    if value is None:
        return None
    integer = isinstance(value, SupportsIndex) and not isinstance(value, bool)
    number = operator.index(value) if integer else least - 1
    if number < least:
        raise InputError(f"{name} must be an integer of at least {least}, received {value!r}.")
    return number


def _listed(documents: Any) -> list[Any]:
    if isinstance(documents, str | bytes) or not isinstance(documents, Iterable):
        raise InputError(f"documents must be a list, received one {type(documents).__name__}.")
    return list(documents)
