"""Documents that are images or recordings.

A model of another modality takes them wherever one of texts takes a string:
``model.rank("a red coat", [Path("a.jpg"), Path("b.png")])``. A document is

- a ``pathlib.Path``, or the ``bytes`` of a file: JPEG, PNG, WebP, GIF, BMP, TIFF; WAV, FLAC, OGG,
- an image of Pillow, or a numpy array of pixels ``[height, width]`` or ``[height, width, 3]``,
- a waveform: ``{"array": [samples], "sampling_rate": 16000}``,
- one of these under its modality: ``{"image": ...}`` or ``{"audio": ...}``,
- a cell of an undecoded ``Image`` or ``Audio`` column of the library ``datasets``,
- of a vision-language model also a string, or both: ``{"image": ..., "text": ...}``, in the order
  in which the model reads them.

A string is a text, never a path. Nothing is fetched from the network, unless the model is loaded
with a function that does it, ``CrossEncoder(..., fetcher=fetch)``: it is then given the string that
stands for an image or a recording, and returns the ``bytes`` of the file.
"""
